/* y = relu(scale * normalised(x) + shift + r), forward and backward, a map in as few passes as
 * the arithmetic allows. Maps are NHWC: `rows` = B*H*W rows of `channels` values, bf16 or float.
 *
 * Sums run over fixed blocks of rows that are added up in order, in double: the same bits for
 * any number of threads.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define TILE 64          /* channels whose sums stay in registers */
#define BLOCK_ROWS 512

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint16_t hvec __attribute__((vector_size(2 * LANES)));

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

static inline vec load_bf16(const uint16_t *p) {
    hvec h;
    memcpy(&h, p, sizeof h);
    return (vec)(__builtin_convertvector(h, ivec) << 16);
}

static inline void store_bf16(uint16_t *p, vec v) {
#ifdef __AVX512BF16__
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
    memcpy(p, &h, sizeof h);
#else
    /* To the nearest, ties to even: just under half a unit of the last kept bit is added, and that
     * bit itself. NaN is set apart, for the carry would make infinities or zeros of some. */
    ivec u = (ivec)v;
    ivec nan = (ivec)(v != v);
    ivec rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    hvec h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0u), hvec);
    memcpy(p, &h, sizeof h);
#endif
}

static inline vec load_f32(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_f32(float *p, vec v) { memcpy(p, &v, sizeof v); }

/* max(v, 0) that hands NaN on */
static inline vec relu(vec v) { return (vec)((ivec)v & ~(ivec)(v < 0.0f)); }

/* g where y > 0, else 0 */
static inline vec masked(vec g, vec y) { return (vec)((ivec)g & (ivec)(y > 0.0f)); }

static inline long num_blocks(long rows) { return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS; }

static inline long end_of(long block, long rows) {
    long end = (block + 1) * BLOCK_ROWS;
    return end < rows ? end : rows;
}

/* Add up partial sums, float [blocks][2][channels], in the order of the blocks. */
static void add_up(const float *partial, long blocks, long channels, double *first,
                   double *second) {
    for (long c = 0; c < channels; c++) first[c] = second[c] = 0.0;
    for (long b = 0; b < blocks; b++)
        for (long c = 0; c < channels; c++) {
            first[c] += partial[(2 * b) * channels + c];
            second[c] += partial[(2 * b + 1) * channels + c];
        }
}

#define KERNELS(NAME, T, LOAD, STORE)                                                            \
    /* sums of x - x[0] and of its square over one block, for one tile of channels; without the */ \
    /* shift mean(x^2) - mean(x)^2 would cancel where the mean is large beside the spread */     \
    static inline __attribute__((always_inline)) void moments_tile_##NAME(                       \
        const T *x, long from, long to, long channels, long c0, int width, float *out) {         \
        vec s[TILE / LANES], q[TILE / LANES], k[TILE / LANES];                                   \
        for (int i = 0; i < width; i++) {                                                        \
            s[i] = q[i] = (vec){0};                                                              \
            k[i] = LOAD(x + c0 + i * LANES);                                                     \
        }                                                                                        \
        for (long r = from; r < to; r++) {                                                       \
            const T *row = x + r * channels + c0;                                                \
            for (int i = 0; i < width; i++) {                                                    \
                vec v = LOAD(row + i * LANES) - k[i];                                            \
                s[i] += v;                                                                       \
                q[i] += v * v;                                                                   \
            }                                                                                    \
        }                                                                                        \
        for (int i = 0; i < width; i++) {                                                        \
            store_f32(out + c0 + i * LANES, s[i]);                                               \
            store_f32(out + channels + c0 + i * LANES, q[i]);                                    \
        }                                                                                        \
    }                                                                                            \
                                                                                                 \
    /* y = relu?(a x + b + r?) */                                                                \
    static inline __attribute__((always_inline)) void apply_rows_##NAME(                         \
        const T *x, const T *r, T *y, long from, long to, long channels, const float *a,         \
        const float *b, int act) {                                                               \
        for (long row = from; row < to; row++)                                                   \
            for (long c = 0; c < channels; c += LANES) {                                         \
                long at = row * channels + c;                                                    \
                vec v = LOAD(x + at) * load_f32(a + c) + load_f32(b + c);                        \
                if (r) v += LOAD(r + at);                                                        \
                STORE(y + at, act ? relu(v) : v);                                                \
            }                                                                                    \
    }                                                                                            \
                                                                                                 \
    int reslab_apply_##NAME(const T *x, const T *r, T *y, long rows, long channels,              \
                            const float *a, const float *b, int act) {                          \
        long blocks = num_blocks(rows);                                                          \
        _Pragma("omp parallel for schedule(static)") for (long k = 0; k < blocks; k++) {         \
            long from = k * BLOCK_ROWS, to = end_of(k, rows);                                    \
            if (r)                                                                               \
                apply_rows_##NAME(x, r, y, from, to, channels, a, b, act);                       \
            else                                                                                 \
                apply_rows_##NAME(x, NULL, y, from, to, channels, a, b, act);                    \
        }                                                                                        \
        return 0;                                                                                \
    }                                                                                            \
                                                                                                 \
    /* mean, 1 / sqrt(variance + eps) and y of a batch; moves the running statistics on */       \
    int reslab_forward_##NAME(const T *x, const T *r, T *y, long rows, long channels,            \
                              const float *scale, const float *shift, float *mean,               \
                              float *invstd, float *running_mean, float *running_var,            \
                              long long *batches, float eps, float momentum, int act) {          \
        long blocks = num_blocks(rows);                                                          \
        float *partial = malloc(sizeof(float) * 2 * (blocks + 1) * channels);                    \
        double *sums = malloc(sizeof(double) * 2 * channels);                                    \
        if (!partial || !sums) {                                                                 \
            free(partial);                                                                       \
            free(sums);                                                                          \
            return 1;                                                                            \
        }                                                                                        \
        _Pragma("omp parallel for schedule(static)") for (long b = 0; b < blocks; b++) {         \
            long from = b * BLOCK_ROWS, to = end_of(b, rows), c = 0;                             \
            float *out = partial + 2 * b * channels;                                             \
            for (; c + TILE <= channels; c += TILE)                                              \
                moments_tile_##NAME(x, from, to, channels, c, TILE / LANES, out);                \
            if (c + 32 <= channels) {                                                            \
                moments_tile_##NAME(x, from, to, channels, c, 2, out);                           \
                c += 32;                                                                         \
            }                                                                                    \
            if (c < channels) moments_tile_##NAME(x, from, to, channels, c, 1, out);             \
        }                                                                                        \
        add_up(partial, blocks, channels, sums, sums + channels);                                \
        float *a = partial + 2 * blocks * channels, *b = a + channels;                           \
        float unbiased = (float)rows / (rows > 1 ? rows - 1 : 1);                                \
        for (long c = 0; c < channels; c++) {                                                    \
            vec first = LOAD(x + c / LANES * LANES);                                             \
            double shifted = sums[c] / rows;                                                     \
            double exact = sums[channels + c] / rows - shifted * shifted;                        \
            float var = exact < 0.0 ? 0.0f : (float)exact;                                       \
            mean[c] = (float)(shifted + (double)first[c % LANES]);                               \
            invstd[c] = 1.0f / sqrtf(var + eps);                                                 \
            a[c] = scale[c] * invstd[c];                                                         \
            b[c] = shift[c] - mean[c] * a[c];                                                    \
            running_mean[c] += momentum * (mean[c] - running_mean[c]);                           \
            running_var[c] += momentum * (var * unbiased - running_var[c]);                      \
        }                                                                                        \
        ++*batches;                                                                              \
        reslab_apply_##NAME(x, r, y, rows, channels, a, b, act);                                 \
        free(partial);                                                                           \
        free(sums);                                                                              \
        return 0;                                                                                \
    }                                                                                            \
    /* sums of m and of m (x - mean) over one block, m = g where y > 0; writes m if asked */     \
    static inline __attribute__((always_inline)) void slopes_tile_##NAME(                        \
        const T *g, const T *x, const T *y, T *m_out, long from, long to, long channels,         \
        long c0, int width, const float *mean, int act, float *out) {                            \
        vec s[TILE / LANES], q[TILE / LANES], k[TILE / LANES];                                   \
        for (int i = 0; i < width; i++) {                                                        \
            s[i] = q[i] = (vec){0};                                                              \
            k[i] = load_f32(mean + c0 + i * LANES);                                              \
        }                                                                                        \
        for (long r = from; r < to; r++)                                                         \
            for (int i = 0; i < width; i++) {                                                    \
                long at = r * channels + c0 + i * LANES;                                         \
                vec m = LOAD(g + at);                                                            \
                if (act) m = masked(m, LOAD(y + at));                                            \
                if (m_out) STORE(m_out + at, m);                                                 \
                s[i] += m;                                                                       \
                q[i] += m * (LOAD(x + at) - k[i]);                                               \
            }                                                                                    \
        for (int i = 0; i < width; i++) {                                                        \
            store_f32(out + c0 + i * LANES, s[i]);                                               \
            store_f32(out + channels + c0 + i * LANES, q[i]);                                    \
        }                                                                                        \
    }                                                                                            \
                                                                                                 \
    static inline __attribute__((always_inline)) void slopes_rows_##NAME(                        \
        const T *g, const T *x, const T *y, T *m_out, long from, long to, long channels,         \
        const float *mean, int act, float *out) {                                                \
        long c = 0;                                                                              \
        for (; c + TILE <= channels; c += TILE)                                                  \
            slopes_tile_##NAME(g, x, y, m_out, from, to, channels, c, TILE / LANES, mean, act,   \
                               out);                                                             \
        if (c + 32 <= channels) {                                                                \
            slopes_tile_##NAME(g, x, y, m_out, from, to, channels, c, 2, mean, act, out);        \
            c += 32;                                                                             \
        }                                                                                        \
        if (c < channels)                                                                        \
            slopes_tile_##NAME(g, x, y, m_out, from, to, channels, c, 1, mean, act, out);        \
    }                                                                                            \
                                                                                                 \
    static inline __attribute__((always_inline)) void spread_rows_##NAME(                        \
        const T *m, const T *x, const T *y, T *gx, long from, long to, long channels,            \
        const float *coefficients, int act) {                                                    \
        const float *p = coefficients, *q = p + channels, *d = q + channels;                     \
        for (long row = from; row < to; row++)                                                   \
            for (long c = 0; c < channels; c += LANES) {                                         \
                long at = row * channels + c;                                                    \
                vec v = LOAD(m + at);                                                            \
                if (act) v = masked(v, LOAD(y + at));                                            \
                STORE(gx + at, v * load_f32(p + c) + LOAD(x + at) * load_f32(q + c) +            \
                                   load_f32(d + c));                                             \
            }                                                                                    \
    }                                                                                            \
                                                                                                 \
    /* gradients of x, scale and shift; of r too where m_out is given */                         \
    int reslab_backward_##NAME(const T *g, const T *x, const T *y, T *m_out, T *gx, long rows,   \
                               long channels, const float *mean, const float *invstd,            \
                               const float *scale, float *g_scale, float *g_shift, int act) {    \
        long blocks = num_blocks(rows);                                                          \
        float *partial = malloc(sizeof(float) * 2 * blocks * channels);                          \
        double *sums = malloc(sizeof(double) * 2 * channels);                                    \
        float *coefficients = malloc(sizeof(float) * 3 * channels);                              \
        if (!partial || !sums || !coefficients) {                                                \
            free(partial);                                                                       \
            free(sums);                                                                          \
            free(coefficients);                                                                  \
            return 1;                                                                            \
        }                                                                                        \
        _Pragma("omp parallel for schedule(static)") for (long b = 0; b < blocks; b++) {         \
            long from = b * BLOCK_ROWS, to = end_of(b, rows);                                    \
            float *out = partial + 2 * b * channels;                                             \
            if (act && m_out)                                                                    \
                slopes_rows_##NAME(g, x, y, m_out, from, to, channels, mean, 1, out);            \
            else if (act)                                                                        \
                slopes_rows_##NAME(g, x, y, NULL, from, to, channels, mean, 1, out);             \
            else                                                                                 \
                slopes_rows_##NAME(g, x, NULL, NULL, from, to, channels, mean, 0, out);          \
        }                                                                                        \
        add_up(partial, blocks, channels, sums, sums + channels);                                \
        for (long c = 0; c < channels; c++) {                                                    \
            double total = sums[c], along = sums[channels + c] * invstd[c];                      \
            double a = (double)scale[c] * invstd[c];                                             \
            g_shift[c] = (float)total;                                                           \
            g_scale[c] = (float)along;                                                           \
            /* gx = a (m - total / rows - xhat along / rows), xhat = (x - mean) invstd */        \
            double q = -a * along / rows * invstd[c];                                            \
            coefficients[c] = (float)a;                                                          \
            coefficients[channels + c] = (float)q;                                               \
            coefficients[2 * channels + c] = (float)(-a * total / rows - q * mean[c]);           \
        }                                                                                        \
        const T *m = m_out ? m_out : g;                                                          \
        _Pragma("omp parallel for schedule(static)") for (long b = 0; b < blocks; b++) {         \
            long from = b * BLOCK_ROWS, to = end_of(b, rows);                                    \
            if (act && !m_out)                                                                   \
                spread_rows_##NAME(m, x, y, gx, from, to, channels, coefficients, 1);            \
            else                                                                                 \
                spread_rows_##NAME(m, x, NULL, gx, from, to, channels, coefficients, 0);         \
        }                                                                                        \
        free(partial);                                                                           \
        free(sums);                                                                              \
        free(coefficients);                                                                      \
        return 0;                                                                                \
    }

KERNELS(bf16, uint16_t, load_bf16, store_bf16)
KERNELS(f32, float, load_f32, store_f32)
