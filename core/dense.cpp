#include "dense.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "parallel.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace multilogit {

namespace {

// One tile of C: kRows x kVectors registers of accumulators.
constexpr std::size_t kRows = kLanes >= 8 ? 8 : 4;
constexpr std::size_t kVectors = 3;
constexpr std::size_t kColumns = kVectors * kLanes;

// Blocks of C that are computed at a time, and of the inner dimension: one tile's B (36 kB) fits
// the first cache, the block's A and B (700 kB each) the second.
constexpr std::size_t kBlockRows = 480;
constexpr std::size_t kBlockColumns = 480;
constexpr std::size_t kBlockInner = 192;

// Below this many multiply-adds a second thread costs more than it brings.
constexpr double kWorthThreads = 4e6;

// Sizes at which recursion ends.
constexpr std::size_t kBase = 32;
constexpr std::size_t kTriangleBlock = 96;

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

vd load(const double* from) {
  vd out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

void store(vd value, double* to) { std::memcpy(to, &value, sizeof value); }

// Packed panels of Width rows (columns) of a matrix: element (i, k) of panel i / Width stands at
// panel + k * Width + i % Width; zeros fill the last panel. Where rows are contiguous they are read
// eight at a time, a cache line of each.
template <std::size_t Width>
void pack(View from, std::size_t rows, std::size_t inner, double* to) {
  for (std::size_t i0 = 0; i0 < rows; i0 += Width, to += Width * inner) {
    const std::size_t count = std::min(Width, rows - i0);
    const double* source = from.data + i0 * from.row;
    if (from.row == 1 && count == Width) {
      for (std::size_t k = 0; k < inner; ++k)
        std::memcpy(to + k * Width, source + k * from.column, Width * sizeof(double));
      continue;
    }
    if (count < Width) std::fill(to, to + Width * inner, 0.0);
    for (std::size_t k0 = 0; k0 < inner; k0 += 8) {
      const std::size_t end = std::min(inner, k0 + 8);
      for (std::size_t i = 0; i < count; ++i)
        for (std::size_t k = k0; k < end; ++k)
          to[k * Width + i] = source[i * from.row + k * from.column];
    }
  }
}

// C += alpha A B for one tile of C, of which `rows` x `columns` exist. Element (i, k) of A is
// a[i * a_row + k * AColumn].
template <std::size_t AColumn>
void multiply_tile(const double* a, std::size_t a_row, const double* b, std::size_t inner,
                   double alpha, double* c, std::size_t ld, std::size_t rows, std::size_t columns) {
  vd acc[kRows][kVectors] = {};
  for (std::size_t k = 0; k < inner; ++k) {
    vd right[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) right[v] = load(b + k * kColumns + v * kLanes);
    for (std::size_t i = 0; i < kRows; ++i)
      for (std::size_t v = 0; v < kVectors; ++v) acc[i][v] += a[i * a_row + k * AColumn] * right[v];
  }
  if (rows == kRows && columns == kColumns) {
    for (std::size_t i = 0; i < kRows; ++i)
      for (std::size_t v = 0; v < kVectors; ++v) {
        double* to = c + i * ld + v * kLanes;
        store(load(to) + alpha * acc[i][v], to);
      }
    return;
  }
  double tile[kRows][kColumns];
  std::memcpy(tile, acc, sizeof tile);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) c[i * ld + j] += alpha * tile[i][j];
}

// Where a thread packs A and B: kept as long as the thread lives, as small products are many.
struct Packed {
  Tiles a{(kBlockRows + kRows) * kBlockInner / kLanes};
  Tiles b{(kBlockColumns + kColumns) * kBlockInner / kLanes};
};

double* doubles(Tiles& tiles) { return reinterpret_cast<double*>(tiles.data()); }

// One block of C: rows i0 .. i0 + m, columns j0 .. j0 + n of the whole C. Rows of A that are
// contiguous are read in place, but for the last few.
void multiply_block(std::size_t i0, std::size_t j0, std::size_t m, std::size_t n, std::size_t k,
                    double alpha, View a, View b, double* c, std::size_t ld, bool upper) {
  static thread_local Packed packed;
  double *left = doubles(packed.a), *right = doubles(packed.b);
  const std::size_t in_place = a.column == 1 ? m / kRows * kRows : 0;
  for (std::size_t k0 = 0; k0 < k; k0 += kBlockInner) {
    const std::size_t inner = std::min(kBlockInner, k - k0);
    const double* from = a.data + i0 * a.row + k0 * a.column;
    pack<kRows>({from + in_place * a.row, a.row, a.column}, m - in_place, inner, left);
    pack<kColumns>({b.data + j0 * b.column + k0 * b.row, b.column, b.row}, n, inner, right);
    for (std::size_t j = 0; j < n; j += kColumns)
      for (std::size_t i = 0; i < m; i += kRows) {
        if (upper && i0 + i >= j0 + j + kColumns) break;
        const double* tile = right + j * inner;
        double* to = c + (i0 + i) * ld + j0 + j;
        const std::size_t rows = std::min(kRows, m - i), columns = std::min(kColumns, n - j);
        if (i < in_place)
          multiply_tile<1>(from + i * a.row, a.row, tile, inner, alpha, to, ld, rows, columns);
        else
          multiply_tile<kRows>(left + (i - in_place) * inner, 1, tile, inner, alpha, to, ld, rows,
                               columns);
      }
  }
}

}  // namespace

void multiply_add(std::size_t m, std::size_t n, std::size_t k, double alpha, View a, View b,
                  double* c, std::size_t ld, std::size_t threads, bool upper) {
  if (m == 0 || n == 0 || k == 0) return;
  const std::size_t stripes = (m + kBlockRows - 1) / kBlockRows;
  const std::size_t columns = (n + kBlockColumns - 1) / kBlockColumns;
  const std::size_t height = round_up((m + stripes - 1) / stripes, kRows);
  const std::size_t width = round_up((n + columns - 1) / columns, kColumns);
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (work < kWorthThreads) threads = 1;
  for_each_slot(stripes * columns, threads, [&](std::size_t, std::size_t slot) {
    const std::size_t i0 = slot / columns * height, j0 = slot % columns * width;
    if (i0 >= m || j0 >= n || (upper && i0 >= j0 + width)) return;
    multiply_block(i0, j0, std::min(height, m - i0), std::min(width, n - j0), k, alpha, a, b, c, ld,
                   upper);
  });
}

namespace {

// U in place of S, n <= kBase.
bool factor_small(double* s, std::size_t n, std::size_t ld) {
  for (std::size_t i = 0; i < n; ++i) {
    double* row = s + i * ld;
    if (!(row[i] > 0.0)) return false;
    row[i] = std::sqrt(row[i]);
    const double scale = 1.0 / row[i];
    for (std::size_t j = i + 1; j < n; ++j) row[j] *= scale;
    for (std::size_t k = i + 1; k < n; ++k) {
      double* below = s + k * ld;
      const double factor = row[k];
      for (std::size_t j = k; j < n; ++j) below[j] -= factor * row[j];
    }
  }
  return true;
}

// B <- U^-T B for U n x n, n <= kBase, and one register of columns of B, or less.
template <std::size_t Vectors>
void solve_columns(const double* u, std::size_t n, std::size_t ld, double* b) {
  for (std::size_t i = 0; i < n; ++i) {
    vd x[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) x[v] = load(b + i * ld + v * kLanes);
    for (std::size_t k = 0; k < i; ++k)
      for (std::size_t v = 0; v < Vectors; ++v)
        x[v] -= u[k * ld + i] * load(b + k * ld + v * kLanes);
    const double scale = 1.0 / u[i * ld + i];
    for (std::size_t v = 0; v < Vectors; ++v) store(x[v] * scale, b + i * ld + v * kLanes);
  }
}

void solve_small(const double* u, std::size_t n, std::size_t ld, double* b, std::size_t columns) {
  std::size_t j = 0;
  for (; j + 4 * kLanes <= columns; j += 4 * kLanes) solve_columns<4>(u, n, ld, b + j);
  for (; j + kLanes <= columns; j += kLanes) solve_columns<1>(u, n, ld, b + j);
  for (; j < columns; ++j)
    for (std::size_t i = 0; i < n; ++i) {
      double x = b[i * ld + j];
      for (std::size_t k = 0; k < i; ++k) x -= u[k * ld + i] * b[k * ld + j];
      b[i * ld + j] = x / u[i * ld + i];
    }
}

std::size_t half(std::size_t n) { return round_up(n / 2, kBase); }

// B <- U^-T B, B n x columns with the leading dimension of U.
void solve_transposed(const double* u, std::size_t n, std::size_t ld, double* b,
                      std::size_t columns, std::size_t threads) {
  if (n <= kBase) return solve_small(u, n, ld, b, columns);
  const std::size_t n1 = half(n), n2 = n - n1;
  solve_transposed(u, n1, ld, b, columns, threads);
  multiply_add(n2, columns, n1, -1.0, {u + n1, 1, ld}, {b, ld, 1}, b + n1 * ld, ld, threads);
  solve_transposed(u + n1 * ld + n1, n2, ld, b + n1 * ld, columns, threads);
}

// V in place of U, n <= kBase, column by column.
void invert_small(double* u, std::size_t n, std::size_t ld) {
  for (std::size_t j = 0; j < n; ++j) {
    const double diagonal = 1.0 / u[j * ld + j];
    for (std::size_t i = 0; i < j; ++i) {  // V_ij = -(sum_k V_ik U_kj) V_jj
      double x = 0.0;
      for (std::size_t k = i; k < j; ++k) x += u[i * ld + k] * u[k * ld + j];
      u[i * ld + j] = -x * diagonal;
    }
    u[j * ld + j] = diagonal;
  }
}

}  // namespace

bool factor_upper(double* s, std::size_t n, std::size_t ld, std::size_t threads) {
  if (n <= kBase) return factor_small(s, n, ld);
  const std::size_t n1 = half(n), n2 = n - n1;
  if (!factor_upper(s, n1, ld, threads)) return false;
  double* s12 = s + n1;
  double* s22 = s + n1 * ld + n1;
  solve_transposed(s, n1, ld, s12, n2, threads);
  multiply_add(n2, n2, n1, -1.0, {s12, 1, ld}, {s12, ld, 1}, s22, ld, threads, true);
  return factor_upper(s22, n2, ld, threads);
}

void invert_upper(double* u, std::size_t n, std::size_t ld, std::size_t threads) {
  if (n <= kBase) return invert_small(u, n, ld);
  const std::size_t n1 = half(n), n2 = n - n1;
  double* u12 = u + n1;
  double* u22 = u + n1 * ld + n1;
  invert_upper(u, n1, ld, threads);
  invert_upper(u22, n2, ld, threads);
  std::vector<double> product(n1 * kTriangleBlock);
  for (std::size_t block = (n2 + kTriangleBlock - 1) / kTriangleBlock; block-- > 0;) {
    const std::size_t j = block * kTriangleBlock, width = std::min(kTriangleBlock, n2 - j);
    std::fill(product.begin(), product.end(), 0.0);  // U_12 V_22, columns j ..
    multiply_add(n1, width, j + width, 1.0, {u12, ld, 1}, {u22 + j, ld, 1}, product.data(),
                 kTriangleBlock, threads);
    const std::size_t stripes = (n1 + kTriangleBlock - 1) / kTriangleBlock;
    const bool alone = n1 * n1 * width < kWorthThreads;
    for_each_slot(stripes, alone ? 1 : threads, [&](std::size_t, std::size_t stripe) {
      const std::size_t i = stripe * kTriangleBlock, rows = std::min(kTriangleBlock, n1 - i);
      for (std::size_t r = i; r < i + rows; ++r) std::fill_n(u12 + r * ld + j, width, 0.0);
      multiply_add(rows, width, n1 - i, -1.0, {u + i * ld + i, ld, 1},
                   {&product[i * kTriangleBlock], kTriangleBlock, 1}, u12 + i * ld + j, ld, 1);
    });
  }
}

void multiply_transposed(const double* v, std::size_t n, std::size_t ld, double* out,
                         std::size_t threads) {
  std::fill_n(out, n * ld, 0.0);
  for (std::size_t j = 0; j < n; j += kTriangleBlock) {
    const std::size_t width = std::min(kTriangleBlock, n - j);
    multiply_add(j + width, width, n - j, 1.0, {v + j, ld, 1}, {v + j * ld + j, 1, ld}, out + j, ld,
                 threads);
  }
  for (std::size_t i0 = 0; i0 < n; i0 += kBase)
    for (std::size_t j0 = i0; j0 < n; j0 += kBase)
      for (std::size_t i = i0; i < std::min(n, i0 + kBase); ++i)
        for (std::size_t j = std::max(j0, i + 1); j < std::min(n, j0 + kBase); ++j)
          out[j * ld + i] = out[i * ld + j];
}

}  // namespace multilogit
