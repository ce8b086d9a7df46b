// The remainder as a dense matrix.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "crossed_remainder.hpp"
#include "dense.hpp"
#include "parallel.hpp"
#include "tiles.hpp"

namespace multilogit {

namespace {

// Columns of V per panel of L^-1 E L^-T, and rows of a panel at a time.
constexpr std::size_t kPanel = 72;
constexpr std::size_t kMade = 96;

// The E_k are kept whole while they take at most this many doubles (256 MB); then they are made
// anew for every panel.
constexpr std::size_t kMostKept = std::size_t{1} << 25;

// Numbers that are written before they are read.
class Workspace {
 public:
  // Room for so many; what was there is lost.
  void reserve(std::size_t size) {
    if (size_ >= size) return;
    data_.reset();
    data_.reset(new double[size]);
    size_ = size;
  }
  double* data() { return data_.get(); }

 private:
  std::size_t size_ = 0;
  std::unique_ptr<double[]> data_;
};

double dot(const double* a, const double* b, std::size_t n) {
  vd sums{};
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    vd left, right;
    std::memcpy(&left, a + j, sizeof left);
    std::memcpy(&right, b + j, sizeof right);
    sums += left * right;
  }
  double rest = 0.0;
  for (; j < n; ++j) rest += a[j] * b[j];
  return sum(sums) + rest;
}

class DenseRemainder : public Remainder {
 public:
  DenseRemainder(std::size_t n, std::size_t stripe)
      : n_(n),
        stripe_(stripe),
        ld_((n + kLanes - 1) / kLanes * kLanes + (n % 512 == 0 ? kLanes : 0)),
        s_(n * ld_ / kLanes + 1),
        v_(n * ld_ / kLanes + 1) {
    std::fill_n(v(), n * ld_, 0.0);
  }

  void assemble(const StripeSource& source, std::size_t threads) override {
    inverted_ = false;
    for_each_slot((n_ + stripe_ - 1) / stripe_, threads, [&](std::size_t, std::size_t stripe) {
      const std::size_t from = stripe * stripe_, to = std::min(n_, from + stripe_);
      for (std::size_t k = from; k < to; ++k) std::fill(s() + k * ld_ + k, s() + k * ld_ + n_, 0.0);
      source(stripe, s() + from * ld_, ld_);
    });
  }

  bool factor(std::size_t threads) override {
    if (!factor_upper(s(), n_, ld_, threads)) return false;
    half_log_determinant_ = 0.0;
    for (std::size_t k = 0; k < n_; ++k) half_log_determinant_ += std::log(s()[k * ld_ + k]);
    return true;
  }

  double* matrix() override { return s(); }
  std::size_t leading_dimension() const override { return ld_; }

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
      if (width == 1) {
        x[i] = scale * (x[i] - dot(row + i + 1, x + i + 1, n_ - i - 1));
        continue;
      }
      for (std::size_t j = i + 1; j < n_; ++j)
        for (std::size_t c = 0; c < width; ++c) x[i * width + c] -= row[j] * x[j * width + c];
      for (std::size_t c = 0; c < width; ++c) x[i * width + c] *= scale;
    }
  }

  void invert(std::size_t threads) override {
    for (std::size_t i = 0; i < n_; ++i)
      std::copy(s() + i * ld_ + i, s() + i * ld_ + n_, v() + i * ld_ + i);
    invert_upper(v(), n_, ld_, threads);
    multiply_transposed(v(), n_, ld_, s(), threads);
    inverted_ = true;
  }

  const double* inverse_stripe(std::size_t stripe, double*) const override {
    return s() + stripe * stripe_ * ld_;
  }
  void release(std::size_t, double*) const override {}
  double work() const override {
    return static_cast<double>(n_) * static_cast<double>(n_) * static_cast<double>(n_) / 6.0;
  }

  // tr(S^-1 E_k S^-1 E_l) = <M_k, M_l>, M = L^-1 E L^-T = V'E V, panel by panel of its columns:
  // above the diagonal, columns I of M need the rows and columns of E up to I's end alone.
  void traces(const DirectionSource& source, double* out, std::size_t threads) override {
    const std::size_t pairs = source.count * source.count;
    const bool kept = source.count * n_ * ld_ <= kMostKept;
    if (kept) keep_directions(source, threads);
    panel_.reserve(source.count * n_ * kPanel);
    std::fill_n(out, pairs, 0.0);
    for (std::size_t from = 0; from < n_; from += kPanel) {
      const std::size_t to = std::min(n_, from + kPanel);
      multiply_directions(source, kept, from, to, threads);
      add_panel(source.count, from, to, out, threads);
    }
  }

 private:
  double* s() { return reinterpret_cast<double*>(s_.data()); }
  const double* s() const { return reinterpret_cast<const double*>(s_.data()); }
  double* v() { return reinterpret_cast<double*>(v_.data()); }
  const double* v() const { return reinterpret_cast<const double*>(v_.data()); }

  void multiply_inverse(double* x, std::size_t width, std::size_t threads) const {
    std::vector<double> y(n_ * width);
    if (width == 1) {
      for (std::size_t i = 0; i < n_; ++i) y[i] = dot(s() + i * ld_, x, n_);
    } else {
      multiply_add(n_, width, n_, 1.0, {s(), ld_, 1}, {x, width, 1}, y.data(), width, threads);
    }
    std::copy(y.begin(), y.end(), x);
  }

  // E_1, E_2, ... one after the other in `kept_`.
  void keep_directions(const DirectionSource& source, std::size_t threads) {
    const std::size_t slots = (n_ + kMade - 1) / kMade, size = n_ * ld_;
    kept_.reserve(source.count * size);
    for (std::size_t k = 0; source.products && k < source.count; ++k) {
      std::fill_n(E(k), size, 0.0);
      source.products(k, E(k), ld_);
      subtract_symmetric(E(k));
    }
    for_each_slot(slots, threads, [&](std::size_t, std::size_t slot) {
      std::vector<vd> memory(stripe_ * n_ * source.width / kLanes + 1);
      auto* columns = reinterpret_cast<double*>(memory.data());
      const std::size_t end = std::min(n_, (slot + 1) * kMade);
      for (std::size_t k0 = slot * kMade; k0 < end; k0 += stripe_) {
        source.stripe(k0 / stripe_, false, n_, columns);
        for (std::size_t k = k0; k < std::min(end, k0 + stripe_); ++k) {
          for (std::size_t l = 0; l < (source.products ? 0 : source.count); ++l)
            std::fill_n(E(l) + k * ld_ + k, n_ - k, 0.0);
          spread(source, columns + (k - k0) * n_ * source.width, k, n_, E(0) + k * ld_, size);
        }
      }
    });
    for_each_slot(source.count * slots, threads, [&](std::size_t, std::size_t slot) {
      mirror(E(slot / slots), slot % slots * kMade, std::min(n_, (slot % slots + 1) * kMade));
    });
  }

  // T <- -T - T' above the diagonal.
  void subtract_symmetric(double* T) const {
    for (std::size_t j0 = 0; j0 < n_; j0 += 16)
      for (std::size_t i = 0; i < std::min(n_, j0 + 16); ++i)
        for (std::size_t j = std::max(i, j0); j < std::min(n_, j0 + 16); ++j)
          T[i * ld_ + j] = -T[i * ld_ + j] - T[j * ld_ + i];
  }

  // Adds rows from .. to - 1 of lane k of `column` to out + k * stride; leaves zeros.
  static void spread(const DirectionSource& source, double* column, std::size_t from,
                     std::size_t to, double* out, std::size_t stride) {
    for (std::size_t r = from; r < to; ++r)
      for (std::size_t k = 0; k < source.count; ++k)
        out[k * stride + r] += column[r * source.width + k];
    std::fill(column + from * source.width, column + to * source.width, 0.0);
  }

  // Below the diagonal, rows from .. to - 1 of what is above it.
  void mirror(double* matrix, std::size_t from, std::size_t to) const {
    for (std::size_t j0 = 0; j0 < to; j0 += 16)
      for (std::size_t i = std::max(from, j0); i < to; ++i)
        for (std::size_t j = j0; j < std::min(i, j0 + 16); ++j)
          matrix[i * ld_ + j] = matrix[j * ld_ + i];
  }

  double* E(std::size_t k) { return kept_.data() + k * n_ * ld_; }
  double* Y(std::size_t k) { return panel_.data() + k * n_ * kPanel; }

  // Y_k = E_k V, rows 0 .. to - 1, columns from .. to - 1.
  void multiply_directions(const DirectionSource& source, bool kept, std::size_t from,
                           std::size_t to, std::size_t threads) {
    const std::size_t width = to - from;
    for_each_slot((to + kMade - 1) / kMade, threads, [&](std::size_t, std::size_t slot) {
      const std::size_t i = slot * kMade, rows = std::min(kMade, to - i);
      std::vector<double> made(kept ? 0 : source.count * kMade * to);
      std::vector<vd> memory(kept ? 0 : stripe_ * n_ * source.width / kLanes + 1);
      auto* columns = reinterpret_cast<double*>(memory.data());
      for (std::size_t j0 = 0; j0 < (kept ? 0 : rows); j0 += stripe_) {
        source.stripe((i + j0) / stripe_, true, to, columns);
        for (std::size_t j = j0; j < std::min(rows, j0 + stripe_); ++j)
          spread(source, columns + (j - j0) * n_ * source.width, 0, to, &made[j * to], kMade * to);
        if (j0 + stripe_ > rows) std::fill(memory.begin(), memory.end(), vd{});
      }
      for (std::size_t k = 0; k < source.count; ++k) {
        const View left = kept ? View{E(k) + i * ld_, ld_, 1} : View{&made[k * kMade * to], to, 1};
        std::fill_n(Y(k) + i * width, rows * width, 0.0);
        multiply_add(rows, width, to, 1.0, left, {v() + from, ld_, 1}, Y(k) + i * width, width, 1);
      }
    });
  }

  // M_k = V'Y_k, some rows at a time, and their products.
  void add_panel(std::size_t count, std::size_t from, std::size_t to, double* out,
                 std::size_t threads) {
    const std::size_t width = to - from, slots = (to + kMade - 1) / kMade, pairs = count * count;
    std::vector<double> sums(slots * pairs);
    for_each_slot(slots, threads, [&](std::size_t, std::size_t slot) {
      const std::size_t i = slot * kMade, rows = std::min(kMade, to - i);
      std::vector<double> M(count * rows * width);
      for (std::size_t k = 0; k < count; ++k)
        multiply_add(rows, width, i + rows, 1.0, {v() + i, 1, ld_}, {Y(k), width, 1},
                     &M[k * rows * width], width, 1);
      add_products(count, i, rows, from, width, M.data(), &sums[slot * pairs]);
    });
    for (std::size_t slot = 0; slot < slots; ++slot)
      for (std::size_t i = 0; i < pairs; ++i) out[i] += sums[slot * pairs + i];
  }

  // sums_kl += <M_k, M_l> for rows row .. and columns column .. of the whole, of which only what
  // is above the diagonal is looked at.
  static void add_products(std::size_t count, std::size_t row, std::size_t rows, std::size_t column,
                           std::size_t width, double* M, double* sums) {
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t diagonal = row + i;
      const std::size_t first = diagonal > column ? diagonal - column : 0;
      if (first >= width) return;
      for (std::size_t k = 0; k < count; ++k) {
        double* a = M + (k * rows + i) * width;
        std::fill_n(a, first, 0.0);
        if (diagonal >= column) a[first] *= std::sqrt(0.5);
        for (std::size_t l = 0; l <= k; ++l) {
          const double total = 2.0 * dot(a, M + (l * rows + i) * width, width);
          sums[k * count + l] += total;
          if (l != k) sums[l * count + k] += total;
        }
      }
    }
  }

  std::size_t n_, stripe_, ld_;
  Tiles s_, v_;             // S, then U, then S^-1; V
  Workspace kept_, panel_;  // all E; Y of a panel
  bool inverted_ = false;
  double half_log_determinant_ = 0.0;
};

}  // namespace

double dense_directions(double n, double count, double fewer) {
  constexpr double kWorkers = 4.0;  // that make rows of E, where it is not kept
  const auto kept = [&](double directions) {
    const double all = directions * n * n;
    return all <= static_cast<double>(kMostKept) ? all : 0.0;
  };
  return count * n * kPanel + std::max({kept(count), kept(fewer), kWorkers * count * kMade * n});
}

std::unique_ptr<Remainder> dense_remainder(std::size_t n, std::size_t stripe) {
  return std::make_unique<DenseRemainder>(n, stripe);
}

}  // namespace multilogit
