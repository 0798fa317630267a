/* Shortcut option A on NHWC maps: every stride-th row and column, and new channels of zeros.
 * Pixels are `in` and `out` bytes long; nothing is computed, so one function serves every type.
 */
#include <string.h>

/* y of (batch, ceil(height / stride), ceil(width / stride)) pixels, from x. */
int reslab_zero_pad(const char *x, char *y, long batch, long height, long width, long stride,
                    long in, long out) {
    long rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
#pragma omp parallel for schedule(static)
    for (long k = 0; k < batch * rows; k++) {
        const char *from = x + (k / rows * height + k % rows * stride) * width * in;
        char *to = y + k * columns * out;
        for (long c = 0; c < columns; c++) {
            memcpy(to + c * out, from + c * stride * in, in);
            memset(to + c * out + in, 0, out - in);
        }
    }
    return 0;
}

/* The way back: gx is g where a pixel was taken, and zero elsewhere. */
int reslab_zero_pad_back(const char *g, char *gx, long batch, long height, long width,
                         long stride, long in, long out) {
    long rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
#pragma omp parallel for schedule(static)
    for (long k = 0; k < batch * height; k++) {
        char *to = gx + k * width * in;
        long row = k % height;
        memset(to, 0, width * in);
        if (row % stride) continue;
        const char *from = g + (k / height * rows + row / stride) * columns * out;
        for (long c = 0; c < columns; c++) memcpy(to + c * stride * in, from + c * out, in);
    }
    return 0;
}
