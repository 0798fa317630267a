/* 3 x 3 convolution with stride 1 and padding 1 of narrow NHWC maps in bf16, sums in float:
 * forward, and the gradients of the map and of the weights.
 *
 * For maps of 16 to 64 channels, where general libraries are far from the processor's peak. An
 * image at a time is copied into a frame of zeros that stays in the cache; a tile of pixels by
 * channels stays in registers. The gradient of the weights is summed over fixed groups of images
 * that are added up in order: the same bits for any number of threads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512BF16__
#include <immintrin.h>
#include <omp.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 16
#define MOST_GROUPS 16   /* groups of images that sum the weights' gradient */
#define CHUNK_PIXELS 128 /* pixels that are paired at a time for the weights' gradient */
#define OUT_TILE 8

INLINE __m512bh pair(const uint16_t *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return (__m512bh)_mm512_set1_epi32(two);
}

INLINE __m512bh many(const uint16_t *p) { return (__m512bh)_mm512_loadu_si512(p); }

/* 16 channels of two pixels or inputs, side by side: (a0, b0), (a1, b1), ... */
INLINE __m512i joined(__m256i a, __m256i b) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(a),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

static long padded_rows(long rows, long width, long channels) {
    return rows * (width + 2) * channels;
}

/* Weights as the tiles read them: [out / (16 blocks)][3 rows][in / 2][3 columns][blocks][16][2]. */
static void pack(const float *w, const long *strides, long out, long in, int blocks, uint16_t *to) {
    long at_once = LANES * blocks;
    __m512i lanes = _mm512_mullo_epi32(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        _mm512_set1_epi32((int)strides[0]));
#pragma omp parallel for collapse(2) schedule(static)
    for (long g = 0; g < out / at_once; g++)
        for (long kh = 0; kh < 3; kh++) {
            uint16_t *p = to + (g * 3 + kh) * 3 * in * at_once;
            for (long i = 0; i < in; i += 2)
                for (long kw = 0; kw < 3; kw++)
                    for (int b = 0; b < blocks; b++, p += 2 * LANES) {
                        const float *tap = w + kh * strides[2] + kw * strides[3] +
                                           (g * at_once + b * LANES) * strides[0] + i * strides[1];
                        __m512 first = _mm512_i32gather_ps(lanes, tap, sizeof *tap);
                        __m512 second = _mm512_i32gather_ps(lanes, tap + strides[1], sizeof *tap);
                        _mm512_storeu_si512(p, joined((__m256i)_mm512_cvtneps_pbh(first),
                                                      (__m256i)_mm512_cvtneps_pbh(second)));
                    }
        }
}

/* Copy an image into a frame of zeros, (height + 2) x (width + 2). */
static void frame(const uint16_t *x, long height, long width, long channels, uint16_t *to) {
    long row = padded_rows(1, width, channels), edge = channels * sizeof *x;
    memset(to, 0, row * sizeof *x);
    for (long r = 0; r < height; r++) {
        uint16_t *p = to + (r + 1) * row;
        memset(p, 0, edge);
        memcpy(p + channels, x + r * width * channels, width * edge);
        memset(p + (width + 1) * channels, 0, edge);
    }
    memset(to + (height + 1) * row, 0, row * sizeof *x);
}

/* `pixels` neighbours of a row by 16 `blocks` channels. */
INLINE void tile(const uint16_t *x, long row, long channels, const uint16_t *w, uint16_t *y,
                 long out, int pixels, int blocks) {
    __m512 sums[16][2];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int b = 0; b < blocks; b++) sums[p][b] = _mm512_setzero_ps();
    for (int kh = 0; kh < 3; kh++)
        for (long i = 0; i < channels; i += 2) {
            const uint16_t *from = x + kh * row + i;
            __m512bh v[3][2];
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++)
#pragma GCC unroll 2
                for (int b = 0; b < blocks; b++, w += 2 * LANES) v[k][b] = many(w);
            /* A pixel is read once and belongs to three sums, a column of weights each. */
#pragma GCC unroll 18
            for (int q = 0; q < pixels + 2; q++) {
                __m512bh two = pair(from + q * channels);
#pragma GCC unroll 3
                for (int k = 0; k < 3; k++)
#pragma GCC unroll 2
                    for (int b = 0; b < blocks; b++)
                        if (q - k >= 0 && q - k < pixels)
                            sums[q - k][b] = _mm512_dpbf16_ps(sums[q - k][b], v[k][b], two);
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int b = 0; b < blocks; b++)
            _mm256_storeu_si256((__m256i *)(y + p * out + b * LANES),
                                (__m256i)_mm512_cvtneps_pbh(sums[p][b]));
}

INLINE void image(const uint16_t *framed, const uint16_t *w, uint16_t *y, long height, long width,
                  long in, long out, int pixels, int blocks) {
    long row = padded_rows(1, width, in);
    for (long g = 0; g < out / (LANES * blocks); g++) {
        const uint16_t *weights = w + g * 9 * in * LANES * blocks;
        for (long r = 0; r < height; r++)
            for (long c = 0; c < width; c += pixels)
                tile(framed + r * row + c * in, row, in, weights,
                     y + (r * width + c) * out + g * LANES * blocks, out, pixels, blocks);
    }
}

/* One function for each number of channels and shape of a tile, so that tiles stay in registers. */
typedef void Image(const uint16_t *, const uint16_t *, uint16_t *, long, long, long);
#define IMAGE(IN, PIXELS, BLOCKS)                                                                \
    static void image_##IN##_##PIXELS##_##BLOCKS(const uint16_t *framed, const uint16_t *w,      \
                                                 uint16_t *y, long height, long width,           \
                                                 long out) {                                     \
        image(framed, w, y, height, width, IN, out, PIXELS, BLOCKS);                             \
    }
#define IMAGES(IN) IMAGE(IN, 8, 1) IMAGE(IN, 16, 1) IMAGE(IN, 8, 2)
IMAGES(16)
IMAGES(32)
IMAGES(64)

static Image *image_for(long in, long out, long width) {
#define CHOICE(IN)                                                                               \
    out % (2 * LANES) == 0 ? image_##IN##_8_2 : width % 16 ? image_##IN##_8_1 : image_##IN##_16_1
    return in == 16 ? (CHOICE(16)) : in == 32 ? (CHOICE(32)) : (CHOICE(64));
#undef CHOICE
}

/* y = x * w; `w` is float with four strides (out, in, row, column), which may be negative.
 * in and out are 16, 32 or 64; the width is a multiple of 8. */
int reslab_conv3x3(const uint16_t *x, const float *w, const long *strides, uint16_t *y, long batch,
                   long height, long width, long in, long out) {
    int blocks = out % (2 * LANES) ? 1 : 2;
    long weights = 9 * in * out, framed = padded_rows(height + 2, width, in);
    long bytes = (weights + omp_get_max_threads() * framed) * sizeof *x;
    uint16_t *packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!packed) return 1;
    pack(w, strides, out, in, blocks, packed);
    uint16_t *frames = packed + weights;
    Image *compute = image_for(in, out, width);
#pragma omp parallel for schedule(static)
    for (long b = 0; b < batch; b++) {
        uint16_t *own = frames + omp_get_thread_num() * framed;
        frame(x + b * height * width * in, height, width, in, own);
        compute(own, packed, y + b * height * width * out, height, width, out);
    }
    free(packed);
    return 0;
}

/* Two pixels, channel by channel: [channels][2]. */
INLINE void join(const uint16_t *a, const uint16_t *b, long channels, uint16_t *to) {
    const __m256i zero = _mm256_setzero_si256();
    for (long c = 0; c < channels; c += LANES)
        _mm512_storeu_si512(to + 2 * c,
                            joined(a ? _mm256_loadu_si256((const __m256i *)(a + c)) : zero,
                                   b ? _mm256_loadu_si256((const __m256i *)(b + c)) : zero));
}

/* A tile of the weights' gradient, [3 columns][8 out][16 in], over some rows of one image.
 * `even` holds the framed pixels (0, 1), (2, 3), ..., `odd` (1, 2), (3, 4), ... */
INLINE void weight_tile(const uint16_t *g, const uint16_t *even, const uint16_t *odd, long rows,
                        long width, long in, long out, float *sums) {
    __m512 s[3][OUT_TILE];
    long g_row = width * out, even_row = (width + 2) * in, odd_row = width * in;
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++)
#pragma GCC unroll 8
        for (int o = 0; o < OUT_TILE; o++) s[k][o] = _mm512_loadu_ps(sums + (k * out + o) * in);
    for (long r = 0; r < rows; r++)
        for (long j = 0; j < width; j += 2) {
            __m512bh left = many(even + r * even_row + j * in);
            __m512bh middle = many(odd + r * odd_row + j * in);
            __m512bh right = many(even + r * even_row + (j + 2) * in);
            const uint16_t *slopes = g + r * g_row + j * out;
#pragma GCC unroll 8
            for (int o = 0; o < OUT_TILE; o++) {
                __m512bh two = pair(slopes + 2 * o);
                s[0][o] = _mm512_dpbf16_ps(s[0][o], left, two);
                s[1][o] = _mm512_dpbf16_ps(s[1][o], middle, two);
                s[2][o] = _mm512_dpbf16_ps(s[2][o], right, two);
            }
        }
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++)
#pragma GCC unroll 8
        for (int o = 0; o < OUT_TILE; o++) _mm512_storeu_ps(sums + (k * out + o) * in, s[k][o]);
}

static long chunk_rows(long width) { return (CHUNK_PIXELS + width - 1) / width; }

static long weight_scratch(long width, long in, long out) {
    long rows = chunk_rows(width);
    return rows * width * out + (rows + 2) * (2 * width + 2) * in;
}

/* Add one image's part to sums, float [3][3][out][in]. */
INLINE void weight_image(const uint16_t *g, const uint16_t *x, long height, long width, long in,
                         long out, uint16_t *scratch, float *sums) {
    long most = chunk_rows(width);
    uint16_t *pairs = scratch, *even = pairs + most * width * out;
    uint16_t *odd = even + (most + 2) * (width + 2) * in;
    for (long r0 = 0; r0 < height; r0 += most) {
        long rows = height - r0 < most ? height - r0 : most;
        for (long r = 0; r < rows; r++)
            for (long c = 0; c < width; c += 2) {
                const uint16_t *a = g + ((r0 + r) * width + c) * out;
                join(a, a + out, out, pairs + (r * width + c) * out);
            }
        for (long r = 0; r < rows + 2; r++) {
            long from = r0 + r - 1;
            uint16_t *e = even + r * (width + 2) * in, *o = odd + r * width * in;
            if (from < 0 || from >= height) {
                memset(e, 0, (width + 2) * in * sizeof *e);
                memset(o, 0, width * in * sizeof *o);
                continue;
            }
            const uint16_t *p = x + from * width * in;
            join(NULL, p, in, e);
            for (long c = 2; c < width; c += 2) join(p + (c - 1) * in, p + c * in, in, e + c * in);
            join(p + (width - 1) * in, NULL, in, e + width * in);
            for (long c = 0; c < width; c += 2) join(p + c * in, p + (c + 1) * in, in, o + c * in);
        }
        for (long kh = 0; kh < 3; kh++)
            for (long i = 0; i < in; i += LANES)
                for (long o = 0; o < out; o += OUT_TILE)
                    weight_tile(pairs + 2 * o, even + kh * (width + 2) * in + 2 * i,
                                odd + kh * width * in + 2 * i, rows, width, in, out,
                                sums + (kh * 3 * out + o) * in + i);
    }
}

typedef void WeightImage(const uint16_t *, const uint16_t *, long, long, long, uint16_t *, float *);
#define WEIGHT_IMAGE(IN)                                                                         \
    static void weight_image_##IN(const uint16_t *g, const uint16_t *x, long height, long width, \
                                  long out, uint16_t *scratch, float *sums) {                    \
        weight_image(g, x, height, width, IN, out, scratch, sums);                               \
    }
WEIGHT_IMAGE(16)
WEIGHT_IMAGE(32)
WEIGHT_IMAGE(64)

/* gw = the gradient of the weights, float with four strides (out, in, row, column). */
int reslab_conv3x3_weights(const uint16_t *g, const uint16_t *x, float *gw, const long *strides,
                           long batch, long height, long width, long in, long out) {
    long scratch = weight_scratch(width, in, out);
    long weights = 9 * in * out, groups = batch < MOST_GROUPS ? batch : MOST_GROUPS;
    long bytes = groups * weights * sizeof(float) +
                 omp_get_max_threads() * scratch * sizeof(uint16_t);
    float *sums = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!sums) return 1;
    uint16_t *frames = (uint16_t *)(sums + groups * weights);
    WeightImage *compute = in == 16   ? weight_image_16
                           : in == 32 ? weight_image_32
                                      : weight_image_64;
    long each = (batch + groups - 1) / groups;
#pragma omp parallel for schedule(static)
    for (long group = 0; group < groups; group++) {
        uint16_t *own = frames + omp_get_thread_num() * scratch;
        float *s = sums + group * weights;
        memset(s, 0, weights * sizeof *s);
        for (long b = group * each; b < (group + 1) * each && b < batch; b++)
            compute(g + b * height * width * out, x + b * height * width * in, height, width, out,
                    own, s);
    }
#pragma omp parallel for schedule(static)
    for (long row = 0; row < 9 * out; row++) {
        float *first = sums + row * in;
        for (long group = 1; group < groups; group++)
            for (long i = 0; i < in; i++) first[i] += first[group * weights + i];
        long k = row / out, o = row % out;
        float *to = gw + o * strides[0] + k / 3 * strides[2] + k % 3 * strides[3];
        for (long i = 0; i < in; i++) to[i * strides[1]] = first[i];
    }
    free(sums);
    return 0;
}
#endif
