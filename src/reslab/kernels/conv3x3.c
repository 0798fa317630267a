/* 3 x 3 convolutions, stride 1 or 2, padding 1, of narrow NHWC maps in bf16, with sums in float:
 * forward, and the gradients of the map and of the weights.
 *
 * For maps of 16 to 64 channels, where general libraries are far from the processor's peak. An
 * image at a time is copied into a frame of zeros that stays in the cache; a tile of pixels by
 * channels stays in registers, and every value that is read serves three columns of weights. The
 * gradient of the weights is summed over fixed groups of images that are added up in order: the
 * same bits for any number of threads.
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
#define OUT_TILE 8       /* channels of a tile of the weights' gradient */
#define BACK_PIXELS 8    /* pixels of the smaller map, of a tile of its double */

/* Two neighbouring bf16 values, sixteen times. */
INLINE __m512bh pair(const uint16_t *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return (__m512bh)_mm512_set1_epi32(two);
}

INLINE __m512bh many(const uint16_t *p) { return (__m512bh)_mm512_loadu_si512(p); }

INLINE __m256i sixteen(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* What a sum starts with: what is to be added to it, or nothing. */
INLINE __m512 start(const uint16_t *added) {
    if (!added) return _mm512_setzero_ps();
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(sixteen(added)), 16));
}

INLINE void put(uint16_t *p, __m512 sum) {
    _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(sum));
}

/* Sixteen channels of two pixels or inputs, side by side: (a0, b0), (a1, b1), ... The dot product
 * of bf16 multiplies neighbours and adds both products, so that everything lies in pairs. */
INLINE __m512i joined(__m256i a, __m256i b) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(a),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

static long halved(long length, long stride) { return (length + stride - 1) / stride; }

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

static long framed_size(long height, long width, long channels) {
    return (height + 2) * (width + 2) * channels;
}

/* Copy an image into a frame of zeros, (height + 2) x (width + 2). */
static void frame(const uint16_t *x, long height, long width, long channels, uint16_t *to) {
    long row = (width + 2) * channels, edge = channels * sizeof *x;
    memset(to, 0, row * sizeof *x);
    for (long r = 0; r < height; r++) {
        uint16_t *p = to + (r + 1) * row;
        memset(p, 0, edge);
        memcpy(p + channels, x + r * width * channels, width * edge);
        memset(p + (width + 1) * channels, 0, edge);
    }
    memset(to + (height + 1) * row, 0, row * sizeof *x);
}

/* ---- y = x * w + added ---- */

/* `pixels` neighbours of a row by 16 `blocks` channels. With 16 sums, 3 or 6 vectors of weights and
 * the pair of inputs that is spread over a vector, at most 23 of 32 registers are taken. */
INLINE void tile(const uint16_t *x, long row, long channels, const uint16_t *w,
                 const uint16_t *added, uint16_t *y, long out, int stride, int pixels,
                 int blocks) {
    /* 16 sums, 3 or 6 vectors of weights and one pair: 20 or 23 of the 32 registers. */
    __m512 sums[16][2];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int b = 0; b < blocks; b++)
            sums[p][b] = start(added ? added + p * out + b * LANES : NULL);
    for (int kh = 0; kh < 3; kh++)
        for (long i = 0; i < channels; i += 2) { /* by two: dpbf16 sums products of pairs */
            const uint16_t *from = x + kh * row + i;
            __m512bh v[3][2];
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++)
#pragma GCC unroll 2
                for (int b = 0; b < blocks; b++, w += 2 * LANES) v[k][b] = many(w);
            /* By inputs, not by taps: each pair is loaded once for the three columns it serves; a
             * tile is bound by loads otherwise. */
#pragma GCC unroll 33
            for (int q = 0; q < stride * (pixels - 1) + 3; q++) {
                /* Read once for three columns; unrolled, the conditions below are constants. */
                __m512bh two = pair(from + q * channels);
#pragma GCC unroll 3
                for (int k = 0; k < 3; k++)
#pragma GCC unroll 2
                    for (int b = 0; b < blocks; b++)
                        /* known once the loops are unrolled: no branch is left */
                        if (q >= k && (q - k) % stride == 0 && (q - k) / stride < pixels) {
                            int p = (q - k) / stride;
                            sums[p][b] = _mm512_dpbf16_ps(sums[p][b], v[k][b], two);
                        }
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
        for (int b = 0; b < blocks; b++) put(y + p * out + b * LANES, sums[p][b]);
}

INLINE void image(const uint16_t *framed, const uint16_t *w, const uint16_t *added, uint16_t *y,
                  long height, long width, long in, long out, int stride, int pixels,
                  int blocks) {
    long row = (width + 2) * in, rows = halved(height, stride), columns = halved(width, stride);
    for (long g = 0; g < out / (LANES * blocks); g++) {
        const uint16_t *weights = w + g * 9 * in * LANES * blocks;
        for (long r = 0; r < rows; r++)
            for (long c = 0; c < columns; c += pixels) {
                long at = (r * columns + c) * out + g * LANES * blocks;
                tile(framed + stride * (r * row + c * in), row, in, weights,
                     added ? added + at : NULL, y + at, out, stride, pixels, blocks);
            }
    }
}

/* One function for each number of channels and shape of a tile, so that tiles stay in registers. */
typedef void Image(const uint16_t *, const uint16_t *, const uint16_t *, uint16_t *, long, long,
                   long);
#define IMAGE(IN, STRIDE, PIXELS, BLOCKS)                                                        \
    static void image_##IN##_##STRIDE##_##PIXELS##_##BLOCKS(                                     \
        const uint16_t *framed, const uint16_t *w, const uint16_t *added, uint16_t *y,           \
        long height, long width, long out) {                                                     \
        image(framed, w, added, y, height, width, IN, out, STRIDE, PIXELS, BLOCKS);              \
    }
#define IMAGES(IN)                                                                               \
    IMAGE(IN, 1, 8, 1) IMAGE(IN, 1, 16, 1) IMAGE(IN, 1, 8, 2) IMAGE(IN, 2, 8, 1) IMAGE(IN, 2, 8, 2)
IMAGES(16)
IMAGES(32)
IMAGES(64)

static Image *image_for(long in, long width, int stride, int blocks) {
#define CHOICE(IN)                                                                               \
    if (stride == 2) return blocks == 2 ? image_##IN##_2_8_2 : image_##IN##_2_8_1;               \
    if (blocks == 2) return image_##IN##_1_8_2;                                                  \
    return width % 16 ? image_##IN##_1_8_1 : image_##IN##_1_16_1
    if (in == 16) { CHOICE(16); }
    if (in == 32) { CHOICE(32); }
    CHOICE(64);
#undef CHOICE
}

/* Pack the weights, frame one image after the other, and compute `each` values from it. */
static int over_images(Image *compute, const uint16_t *x, const float *w, const long *strides,
                       int blocks, const uint16_t *added, uint16_t *y, long batch, long height,
                       long width, long in, long out, long each) {
    long weights = 9 * in * out, framed = framed_size(height, width, in);
    long bytes = (weights + omp_get_max_threads() * framed) * sizeof *x;
    uint16_t *packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!packed) return 1;
    pack(w, strides, out, in, blocks, packed);
#pragma omp parallel for schedule(static)
    for (long b = 0; b < batch; b++) {
        uint16_t *own = packed + weights + omp_get_thread_num() * framed;
        frame(x + b * height * width * in, height, width, in, own);
        compute(own, packed, added ? added + b * each : NULL, y + b * each, height, width, out);
    }
    free(packed);
    return 0;
}

/* y = x * w + added; `added` may be NULL. `w` is float with four strides (out, in, row, column),
 * which may be negative. in and out are 16, 32 or 64; rows of y are multiples of 8 pixels. */
int reslab_conv3x3(const uint16_t *x, const float *w, const long *strides, const uint16_t *added,
                   uint16_t *y, long batch, long height, long width, long in, long out,
                   int stride) {
    int blocks = out % (2 * LANES) ? 1 : 2;
    return over_images(image_for(in, width, stride, blocks), x, w, strides, blocks, added, y,
                       batch, height, width, in, out,
                       halved(height, stride) * halved(width, stride) * out);
}

/* ---- the gradient of x where the stride is 2: a map of twice the height and width ---- */

/* The even or odd row above BACK_PIXELS pixels of g: twice as many pixels by 16 channels. An even
 * row has one row of weights, an odd one has two; so have columns. */
INLINE void back_tile(const uint16_t *g, long row, long channels, const uint16_t *w, int odd,
                      const uint16_t *added, uint16_t *gx, long out) {
    __m512 sums[BACK_PIXELS][2];
#pragma GCC unroll 8
    for (int p = 0; p < BACK_PIXELS; p++)
#pragma GCC unroll 2
        for (int k = 0; k < 2; k++) sums[p][k] = start(added ? added + (2 * p + k) * out : NULL);
    for (int kh = odd ? 0 : 1; kh < 3; kh += 2)
        for (long i = 0; i < channels; i += 2) {
            const uint16_t *from = g + (kh == 0 ? row : 0) + i;
            const uint16_t *weights = w + (kh * channels / 2 + i / 2) * 3 * 2 * LANES;
            __m512bh left = many(weights), middle = many(weights + 2 * LANES);
            __m512bh right = many(weights + 4 * LANES);
#pragma GCC unroll 9
            for (int q = 0; q <= BACK_PIXELS; q++) {
                __m512bh two = pair(from + q * channels);
                if (q < BACK_PIXELS) {
                    sums[q][0] = _mm512_dpbf16_ps(sums[q][0], middle, two);
                    sums[q][1] = _mm512_dpbf16_ps(sums[q][1], right, two);
                }
                if (q > 0) sums[q - 1][1] = _mm512_dpbf16_ps(sums[q - 1][1], left, two);
            }
        }
#pragma GCC unroll 8
    for (int p = 0; p < BACK_PIXELS; p++)
#pragma GCC unroll 2
        for (int k = 0; k < 2; k++) put(gx + (2 * p + k) * out, sums[p][k]);
}

#define BACK_IMAGE(IN)                                                                           \
    static void back_image_##IN(const uint16_t *framed, const uint16_t *w,                       \
                                const uint16_t *added, uint16_t *gx, long rows, long columns,    \
                                long out) {                                                      \
        long row = (columns + 2) * IN;                                                           \
        for (long o = 0; o < out; o += LANES)                                                    \
            for (long r = 0; r < 2 * rows; r++)                                                  \
                for (long c = 0; c < columns; c += BACK_PIXELS) {                                \
                    long at = (r * 2 * columns + 2 * c) * out + o;                               \
                    back_tile(framed + (r / 2 + 1) * row + (c + 1) * IN, row, IN,                \
                              w + o * 9 * IN, r % 2, added ? added + at : NULL, gx + at, out);   \
                }                                                                                \
    }
BACK_IMAGE(16)
BACK_IMAGE(32)
BACK_IMAGE(64)

/* gx = the gradient of x by stride 2 + added, from g of (rows, columns) pixels and `in` channels;
 * gx has twice the rows and columns and `out` channels. The strides of w are (out, in, row,
 * column), seen so. */
int reslab_conv3x3_back(const uint16_t *g, const float *w, const long *strides,
                        const uint16_t *added, uint16_t *gx, long batch, long rows, long columns,
                        long in, long out) {
    Image *compute = in == 16 ? back_image_16 : in == 32 ? back_image_32 : back_image_64;
    return over_images(compute, g, w, strides, 1, added, gx, batch, rows, columns, in, out,
                       4 * rows * columns * out);
}

/* ---- the gradient of the weights ---- */

/* Two pixels, channel by channel: [channels][2]; NULL is a pixel of zeros. */
INLINE void join(const uint16_t *a, const uint16_t *b, long channels, uint16_t *to) {
    const __m256i zero = _mm256_setzero_si256();
    for (long c = 0; c < channels; c += LANES)
        _mm512_storeu_si512(to + 2 * c,
                            joined(a ? sixteen(a + c) : zero, b ? sixteen(b + c) : zero));
}

/* A tile of the gradient, [3 columns][8 out][16 in], over some rows of one image. `x` holds, for
 * each of the three columns, the pixels that meet those of `g`, in pairs as those are. */
INLINE void weight_tile(const uint16_t *g, const uint16_t *x, long column, long rows, long columns,
                        long x_row, long in, long out, float *sums) {
    /* 24 sums, 3 vectors of x and one pair. The pairs are pixels here: the sum runs over them. */
    __m512 s[3][OUT_TILE];
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++)
#pragma GCC unroll 8
        for (int o = 0; o < OUT_TILE; o++) s[k][o] = _mm512_loadu_ps(sums + (k * out + o) * in);
    for (long r = 0; r < rows; r++)
        for (long j = 0; j < columns; j += 2) {
            const uint16_t *at = x + r * x_row + j * in;
            __m512bh left = many(at), middle = many(at + column), right = many(at + 2 * column);
            const uint16_t *slopes = g + (r * columns + j) * out;
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

/* Rows of g that are paired at a time, and the rows of x that they meet. */
static long chunk_rows(long columns) { return (CHUNK_PIXELS + columns - 1) / columns; }
static long met_rows(long rows, int stride) { return stride * (rows - 1) + 3; }

static long weight_scratch(long columns, long in, long out, int stride) {
    long rows = chunk_rows(columns);
    return (rows * out + 3 * met_rows(rows, stride) * in) * columns;
}

/* Add one image's part to sums, float [3][3][out][in]. */
INLINE void weight_image(const uint16_t *g, const uint16_t *x, long height, long width, long in,
                         long out, int stride, uint16_t *scratch, float *sums) {
    long all = halved(height, stride), columns = halved(width, stride);
    long most = chunk_rows(columns), row = columns * in, column = met_rows(most, stride) * row;
    uint16_t *slopes = scratch, *met = slopes + most * columns * out;
    for (long r0 = 0; r0 < all; r0 += most) {
        long rows = all - r0 < most ? all - r0 : most;
        for (long c = 0; c < rows * columns; c += 2) {
            const uint16_t *a = g + (r0 * columns + c) * out;
            join(a, a + out, out, slopes + c * out);
        }
        for (long r = 0; r < met_rows(rows, stride); r++) {
            long from = stride * r0 + r - 1;
            const uint16_t *p = x + from * width * in;
            for (long k = 0; k < 3; k++) {
                uint16_t *to = met + k * column + r * row;
                if (from < 0 || from >= height) {
                    memset(to, 0, row * sizeof *to);
                    continue;
                }
                for (long c = 0; c < columns; c += 2) {
                    long first = stride * c + k - 1, second = first + stride;
                    join(first < 0 ? NULL : p + first * in,
                         second < width ? p + second * in : NULL, in, to + c * in);
                }
            }
        }
        for (long kh = 0; kh < 3; kh++)
            for (long i = 0; i < in; i += LANES)
                for (long o = 0; o < out; o += OUT_TILE)
                    weight_tile(slopes + 2 * o, met + kh * row + 2 * i, column, rows, columns,
                                stride * row, in, out, sums + (kh * 3 * out + o) * in + i);
    }
}

typedef void WeightImage(const uint16_t *, const uint16_t *, long, long, long, int, uint16_t *,
                         float *);
#define WEIGHT_IMAGE(IN)                                                                         \
    static void weight_image_##IN(const uint16_t *g, const uint16_t *x, long height, long width, \
                                  long out, int stride, uint16_t *scratch, float *sums) {        \
        weight_image(g, x, height, width, IN, out, stride, scratch, sums);                       \
    }
WEIGHT_IMAGE(16)
WEIGHT_IMAGE(32)
WEIGHT_IMAGE(64)

/* gw = the gradient of the weights, float with four strides (out, in, row, column); height and
 * width are those of x. */
int reslab_conv3x3_weights(const uint16_t *g, const uint16_t *x, float *gw, const long *strides,
                           long batch, long height, long width, long in, long out, int stride) {
    long columns = halved(width, stride), each = halved(height, stride) * columns * out;
    long scratch = weight_scratch(columns, in, out, stride);
    long weights = 9 * in * out, groups = batch < MOST_GROUPS ? batch : MOST_GROUPS;
    long bytes = groups * weights * sizeof(float) +
                 omp_get_max_threads() * scratch * sizeof(uint16_t);
    float *sums = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!sums) return 1;
    uint16_t *pairs = (uint16_t *)(sums + groups * weights);
    WeightImage *compute = in == 16   ? weight_image_16
                           : in == 32 ? weight_image_32
                                      : weight_image_64;
    /* By groups, not by threads: the order of additions must not depend on how many threads run. */
    long members = (batch + groups - 1) / groups;
#pragma omp parallel for schedule(static)
    for (long group = 0; group < groups; group++) {
        uint16_t *own = pairs + omp_get_thread_num() * scratch;
        float *s = sums + group * weights;
        memset(s, 0, weights * sizeof *s);
        for (long b = group * members; b < (group + 1) * members && b < batch; b++)
            compute(g + b * each, x + b * height * width * in, height, width, out, stride, own, s);
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
