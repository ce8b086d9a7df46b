// The remainder as a dense matrix.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "crossed_dense.hpp"
#include "crossed_remainder.hpp"
#include "parallel.hpp"
#include "tiles.hpp"

namespace multilogit {

namespace {

// Columns of V per panel of L^-1 E L^-T, and columns of E made at a time.
constexpr std::size_t kPanel = 240;
constexpr std::size_t kMade = 96;

class DenseRemainder : public Remainder {
 public:
  explicit DenseRemainder(std::size_t n)
      : n_(n),
        ld_((n + kLanes - 1) / kLanes * kLanes + (n % 512 == 0 ? kLanes : 0)),
        s_(n * ld_ / kLanes + 1),
        v_(n * ld_ / kLanes + 1) {
    std::fill_n(v(), n * ld_, 0.0);
  }

  bool factor(const ColumnSource& source, std::size_t threads) override {
    inverted_ = false;
    const std::size_t slots = (n_ + kMade - 1) / kMade;
    for_each_slot(slots, threads, [&](std::size_t, std::size_t slot) {
      for (std::size_t k = slot * kMade; k < std::min(n_, (slot + 1) * kMade); ++k) {
        std::fill(s() + k * ld_ + k, s() + k * ld_ + n_, 0.0);
        source(k, s() + k * ld_);
      }
    });
    if (!factor_upper(s(), n_, ld_, threads)) return false;
    half_log_determinant_ = 0.0;
    for (std::size_t k = 0; k < n_; ++k) half_log_determinant_ += std::log(s()[k * ld_ + k]);
    return true;
  }

  double half_log_determinant() const override { return half_log_determinant_; }

  void solve(double* x, std::size_t width, std::size_t threads) const override {
    if (inverted_) return multiply_inverse(x, width, threads);
    for (std::size_t i = 0; i < n_; ++i) {  // U'y = x
      const double* row = s() + i * ld_;
      const double scale = 1.0 / row[i];
      for (std::size_t c = 0; c < width; ++c) x[i * width + c] *= scale;
      if (width == 1) {
        for (std::size_t j = i + 1; j < n_; ++j) x[j] -= row[j] * x[i];
        continue;
      }
      for (std::size_t j = i + 1; j < n_; ++j)
        for (std::size_t c = 0; c < width; ++c) x[j * width + c] -= row[j] * x[i * width + c];
    }
    for (std::size_t i = n_; i-- > 0;) {  // U x = y
      const double* row = s() + i * ld_;
      const double scale = 1.0 / row[i];
      for (std::size_t j = i + 1; j < n_; ++j)
        for (std::size_t c = 0; c < width; ++c) x[i * width + c] -= row[j] * x[j * width + c];
      for (std::size_t c = 0; c < width; ++c) x[i * width + c] *= scale;
    }
  }

  void invert(std::size_t threads) override {
    for (std::size_t i = 0; i < n_; ++i)
      std::copy(s() + i * ld_ + i, s() + i * ld_ + n_, v() + i * ld_ + i);
    // below the diagonal of U there is room
    const std::size_t half = n_ / 2 + 32;
    Tiles scratch(half * (half + kLanes) / kLanes + 1);
    invert_upper(v(), n_, ld_, reinterpret_cast<double*>(scratch.data()), half, threads);
    multiply_transposed(v(), n_, ld_, s(), threads);
    inverted_ = true;
  }

  const double* inverse_column(std::size_t k, double*) const override { return s() + k * ld_; }
  void release(std::size_t, double*) const override {}
  double work() const override {
    return static_cast<double>(n_) * static_cast<double>(n_) * static_cast<double>(n_) / 6.0;
  }

  // tr(S^-1 E_k S^-1 E_l) = <M_k, M_l>, M = L^-1 E L^-T = V'E V, panel by panel of its columns:
  // above the diagonal, columns I of M need the rows and columns of E up to I's end alone.
  void traces(const DirectionSource& source, double* out, std::size_t threads) override {
    const std::size_t panels = (n_ + kPanel - 1) / kPanel, pairs = source.count * source.count;
    std::vector<double> sums(panels * pairs);
    for_each_slot(panels, threads, [&](std::size_t, std::size_t slot) {
      const std::size_t panel = panels - 1 - slot;  // the largest first
      add_panel(source, panel * kPanel, std::min(n_, (panel + 1) * kPanel), &sums[panel * pairs]);
    });
    std::fill_n(out, pairs, 0.0);
    for (std::size_t panel = 0; panel < panels; ++panel)
      for (std::size_t i = 0; i < pairs; ++i) out[i] += sums[panel * pairs + i];
  }

 private:
  double* s() { return reinterpret_cast<double*>(s_.data()); }
  const double* s() const { return reinterpret_cast<const double*>(s_.data()); }
  double* v() { return reinterpret_cast<double*>(v_.data()); }
  const double* v() const { return reinterpret_cast<const double*>(v_.data()); }

  void multiply_inverse(double* x, std::size_t width, std::size_t threads) const {
    std::vector<double> y(n_ * width);
    if (width == 1) {
      for (std::size_t i = 0; i < n_; ++i) {
        const double* row = s() + i * ld_;
        vd sums{};
        std::size_t j = 0;
        for (; j + kLanes <= n_; j += kLanes) {
          vd a, b;
          std::memcpy(&a, row + j, sizeof a);
          std::memcpy(&b, x + j, sizeof b);
          sums += a * b;
        }
        double rest = 0.0;
        for (; j < n_; ++j) rest += row[j] * x[j];
        y[i] = sum(sums) + rest;
      }
    } else {
      multiply_add(n_, width, n_, 1.0, {s(), ld_, 1}, {x, width, 1}, y.data(), width, threads);
    }
    std::copy(y.begin(), y.end(), x);
  }

  void add_panel(const DirectionSource& source, std::size_t from, std::size_t to, double* sums) {
    const std::size_t width = to - from, lanes = source.vectors * kLanes;
    std::vector<std::vector<double>> Y(source.count, std::vector<double>(to * width));
    std::vector<double> made(source.count * kMade * to);
    std::vector<vd> column(to * source.vectors);
    for (std::size_t i = 0; i < to; i += kMade) {  // Y = E V, rows i ..
      const std::size_t rows = std::min(kMade, to - i);
      for (std::size_t j = 0; j < rows; ++j) {
        source.column(i + j, 0, to, column.data());
        const auto* lane = reinterpret_cast<const double*>(column.data());
        for (std::size_t k = 0; k < source.count; ++k)
          for (std::size_t r = 0; r < to; ++r) made[(k * kMade + j) * to + r] = lane[r * lanes + k];
        std::fill(column.begin(), column.end(), vd{});
      }
      for (std::size_t k = 0; k < source.count; ++k)
        multiply_add(rows, width, to, 1.0, {&made[k * kMade * to], to, 1}, {v() + from, ld_, 1},
                     &Y[k][i * width], width, 1);
    }
    made.clear();
    made.shrink_to_fit();
    std::vector<std::vector<double>> M(source.count, std::vector<double>(kMade * width));
    for (std::size_t i = 0; i < to; i += kMade) {  // M = V'Y, rows i ..
      const std::size_t rows = std::min(kMade, to - i);
      for (std::size_t k = 0; k < source.count; ++k) {
        std::fill(M[k].begin(), M[k].end(), 0.0);
        multiply_add(rows, width, i + rows, 1.0, {v() + i, 1, ld_}, {Y[k].data(), width, 1},
                     M[k].data(), width, 1);
      }
      add_products(M, i, rows, from, width, sums);
    }
  }

  // sums_kl += <M_k, M_l> over the whole of M, of which only j >= i is looked at.
  void add_products(const std::vector<std::vector<double>>& M, std::size_t row, std::size_t rows,
                    std::size_t column, std::size_t width, double* sums) const {
    const std::size_t count = M.size();
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t first = row + i > column ? row + i - column : 0;  // of those in the panel
      const bool diagonal = row + i >= column;
      for (std::size_t k = 0; k < count; ++k)
        for (std::size_t l = k; l < count; ++l) {
          const double *a = &M[k][i * width], *b = &M[l][i * width];
          double total = 0.0;
          if (first < width) {
            for (std::size_t j = first; j < width; ++j) total += a[j] * b[j];
            total = 2.0 * total - (diagonal ? a[first] * b[first] : 0.0);
          }
          sums[k * count + l] += total;
          if (l != k) sums[l * count + k] += total;
        }
    }
  }

  std::size_t n_, ld_;
  Tiles s_, v_;  // S, then U, then S^-1; V
  bool inverted_ = false;
  double half_log_determinant_ = 0.0;
};

}  // namespace

std::unique_ptr<Remainder> dense_remainder(std::size_t n) {
  return std::make_unique<DenseRemainder>(n);
}

}  // namespace multilogit
