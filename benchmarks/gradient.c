/* Log density and gradient of the model of gradient.py; position: intercept, slope, log sigma, u. */
#include <math.h>
#include <stdint.h>

static double normal(double x, double scale) {
    return -0.5 * x * x / (scale * scale) - log(scale) - 0.91893853320467274178;
}

void value_and_gradient(int64_t chains, int64_t rows, int64_t levels, const double *y,
                        const double *x, const int32_t *g, const double *position,
                        double *value, double *gradient) {
    int64_t dimensions = 3 + levels;
    for (int64_t c = 0; c < chains; c++) {
        const double *q = position + c * dimensions, *u = q + 3;
        double *d = gradient + c * dimensions, *du = d + 3;
        double sigma = exp(q[2]), total = 0, sum = 0, weighted = 0, squares = 0;
        for (int64_t j = 0; j < levels; j++) {
            total += normal(u[j], sigma);
            squares += u[j] * u[j];
            du[j] = -u[j] / (sigma * sigma);
        }
        for (int64_t i = 0; i < rows; i++) {
            double eta = q[0] + q[1] * x[i] + u[g[i]];
            double e = exp(-fabs(eta));
            double probability = (eta < 0 ? e : 1) / (1 + e);
            double residual = y[i] - probability;
            total += y[i] * eta - fmax(eta, 0) - log1p(e);
            sum += residual;
            weighted += residual * x[i];
            du[g[i]] += residual;
        }
        value[c] = total + normal(q[0], 1.5) + normal(q[1], 2.5) - sigma + q[2];
        d[0] = sum - q[0] / (1.5 * 1.5);
        d[1] = weighted - q[1] / (2.5 * 2.5);
        d[2] = squares / (sigma * sigma) - (double)levels - sigma + 1;
    }
}
