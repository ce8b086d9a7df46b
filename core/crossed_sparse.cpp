// A remainder kept sparse: its Cholesky factor by columns, and of S^-1 the elements at the factor's
// places, which is all that value and gradient need.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "crossed_remainder.hpp"
#include "simd.hpp"

namespace multilogit {

namespace {

// A multiply-add here takes as long as this many of the dense remainder.
constexpr double kSlower = 20.0;

class SparseRemainder : public Remainder {
 public:
  explicit SparseRemainder(SparsePattern pattern)
      : at_(std::move(pattern)), L_(at_.nonzeros()), Z_(at_.nonzeros()) {}

  void assemble(const StripeSource& source, std::size_t) override {
    std::vector<double> column(at_.size());
    for (std::size_t j = 0; j < at_.size(); ++j) {
      source(j, column.data(), 0);
      for (std::int64_t p = at_.first[j]; p < at_.first[j + 1]; ++p) {
        L_[p] = column[at_.row[p]];
        column[at_.row[p]] = 0.0;
      }
    }
  }

  // Column by column: L_j = (S_j - sum_k L_k L_jk) / L_jj.
  bool factor(std::size_t) override {
    std::vector<double> column(at_.size());
    half_log_determinant_ = 0.0;
    for (std::size_t j = 0; j < at_.size(); ++j) {
      for (std::int64_t l = at_.left[j]; l < at_.left[j + 1]; ++l) {
        const double factor = L_[at_.left_position[l]];
        for (std::int64_t p = at_.left_position[l]; p < at_.first[at_.left_column[l] + 1]; ++p)
          column[at_.row[p]] -= L_[p] * factor;
      }
      const std::int64_t begin = at_.first[j];
      const double square = L_[begin] + column[j];
      if (!(square > 0.0)) return false;
      const double pivot = std::sqrt(square), scale = 1.0 / pivot;
      half_log_determinant_ += std::log(pivot);
      L_[begin] = pivot;
      column[j] = 0.0;
      for (std::int64_t p = begin + 1; p < at_.first[j + 1]; ++p) {
        L_[p] = (L_[p] + column[at_.row[p]]) * scale;
        column[at_.row[p]] = 0.0;
      }
    }
    return true;
  }

  double half_log_determinant() const override { return half_log_determinant_; }

  void solve(double* x, std::size_t width, std::size_t) const override {
    const std::size_t n = at_.size();
    for (std::size_t j = 0; j < n; ++j) {
      double* own = x + j * width;
      for (std::size_t c = 0; c < width; ++c) own[c] /= L_[at_.first[j]];
      for (std::int64_t p = at_.first[j] + 1; p < at_.first[j + 1]; ++p)
        for (std::size_t c = 0; c < width; ++c) x[at_.row[p] * width + c] -= L_[p] * own[c];
    }
    for (std::size_t j = n; j-- > 0;) {
      double* own = x + j * width;
      for (std::int64_t p = at_.first[j] + 1; p < at_.first[j + 1]; ++p)
        for (std::size_t c = 0; c < width; ++c) own[c] -= L_[p] * x[at_.row[p] * width + c];
      for (std::size_t c = 0; c < width; ++c) own[c] /= L_[at_.first[j]];
    }
  }

  // Z = S^-1 where L is not zero, from the last column to the first (Takahashi, Fagan & Chen 1973):
  // with l = L_j / L_jj below the diagonal, Z_ij = -sum_k Z_ik l_k, Z_jj = 1 / L_jj^2 - l'Z_j.
  void invert(std::size_t) override {
    const std::size_t n = at_.size();
    std::vector<double> l(n), y(n);
    std::vector<char> here(n);
    for (std::size_t j = n; j-- > 0;) {
      const std::int64_t begin = at_.first[j] + 1, end = at_.first[j + 1];
      const double scale = 1.0 / L_[begin - 1];
      for (std::int64_t p = begin; p < end; ++p) {
        l[at_.row[p]] = L_[p] * scale;
        here[at_.row[p]] = 1;
      }
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int32_t k = at_.row[p];
        const double l_k = l[k];
        double y_k = Z_[at_.first[k]] * l_k;
        for (std::int64_t s = at_.first[k] + 1; s < at_.first[k + 1]; ++s) {
          const std::int32_t i = at_.row[s];
          if (!here[i]) continue;
          y[i] += Z_[s] * l_k;
          y_k += Z_[s] * l[i];
        }
        y[k] += y_k;
      }
      double diagonal = scale * scale;
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int32_t i = at_.row[p];
        Z_[p] = -y[i];
        diagonal += l[i] * y[i];
        l[i] = y[i] = 0.0;
        here[i] = 0;
      }
      Z_[begin - 1] = diagonal;
    }
  }

  const double* inverse_stripe(std::size_t k, double* work) const override {
    for (std::int64_t p = at_.first[k]; p < at_.first[k + 1]; ++p) work[at_.row[p]] = Z_[p];
    for (std::int64_t l = at_.left[k]; l < at_.left[k + 1]; ++l)
      work[at_.left_column[l]] = Z_[at_.left_position[l]];
    return work;
  }

  void release(std::size_t k, double* work) const override {
    for (std::int64_t p = at_.first[k]; p < at_.first[k + 1]; ++p) work[at_.row[p]] = 0.0;
    for (std::int64_t l = at_.left[k]; l < at_.left[k + 1]; ++l) work[at_.left_column[l]] = 0.0;
  }

  double work() const override { return kSlower * at_.work; }

  // S^-1 E_k S^-1 = -dS^-1/dE_k, so tr(S^-1 E_k S^-1 E_l) needs dZ_k where E_l is not zero: factor
  // and inverse are differentiated along all directions at once.
  void traces(const DirectionSource& source, double* out, std::size_t) override {
    const std::size_t n = at_.size(), vectors = source.width / kLanes, count = source.count;
    std::vector<vd> d(at_.nonzeros() * vectors), column(n * vectors);
    differentiate_factor(source, d.data(), column.data());
    differentiate_inverse(vectors, d.data());
    std::vector<vd> sums(count * vectors);
    for (std::size_t j = 0; j < n; ++j) {
      source.stripe(j, false, n, reinterpret_cast<double*>(column.data()));
      for (std::int64_t p = at_.first[j]; p < at_.first[j + 1]; ++p) {
        const double factor = p == at_.first[j] ? -1.0 : -2.0;
        const auto* dZ = reinterpret_cast<const double*>(&d[p * vectors]);
        vd* E = &column[at_.row[p] * vectors];
        for (std::size_t k = 0; k < count; ++k)
          for (std::size_t v = 0; v < vectors; ++v)
            sums[k * vectors + v] += (factor * dZ[k]) * E[v];
        std::fill_n(E, vectors, vd{});
      }
    }
    for (std::size_t k = 0; k < count; ++k)
      std::memcpy(out + k * count, &sums[k * vectors], count * sizeof(double));
  }

 private:
  // dL along the directions.
  void differentiate_factor(const DirectionSource& source, vd* d, vd* column) const {
    const std::size_t n = at_.size(), vectors = source.width / kLanes;
    for (std::size_t j = 0; j < n; ++j) {
      source.stripe(j, false, n, reinterpret_cast<double*>(column));
      for (std::int64_t l = at_.left[j]; l < at_.left[j + 1]; ++l) {
        const std::int64_t from = at_.left_position[l];
        for (std::int64_t p = from; p < at_.first[at_.left_column[l] + 1]; ++p)
          for (std::size_t v = 0; v < vectors; ++v)
            column[at_.row[p] * vectors + v] -=
                d[p * vectors + v] * L_[from] + L_[p] * d[from * vectors + v];
      }
      const std::int64_t begin = at_.first[j];
      const double scale = 1.0 / L_[begin];
      for (std::size_t v = 0; v < vectors; ++v) {
        const vd pivot = d[begin * vectors + v] = 0.5 * scale * column[j * vectors + v];
        column[j * vectors + v] = vd{};
        for (std::int64_t p = begin + 1; p < at_.first[j + 1]; ++p) {
          vd& own = column[at_.row[p] * vectors + v];
          d[p * vectors + v] = (own - L_[p] * pivot) * scale;
          own = vd{};
        }
      }
    }
  }

  // dZ in the place of dL.
  void differentiate_inverse(std::size_t vectors, vd* d) const {
    const std::size_t n = at_.size();
    std::vector<double> l(n);
    std::vector<vd> dl(n * vectors), dy(n * vectors);
    std::vector<char> here(n);
    for (std::size_t j = n; j-- > 0;) {
      const std::int64_t begin = at_.first[j] + 1, end = at_.first[j + 1];
      const double scale = 1.0 / L_[begin - 1];
      const vd* pivot = d + (begin - 1) * vectors;
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int32_t i = at_.row[p];
        l[i] = L_[p] * scale;
        here[i] = 1;
        for (std::size_t v = 0; v < vectors; ++v)
          dl[i * vectors + v] = (d[p * vectors + v] - l[i] * pivot[v]) * scale;
      }
      for (std::int64_t p = begin; p < end; ++p)
        add_inverse_products(at_.row[p], vectors, d, l, dl, here, dy);
      for (std::size_t v = 0; v < vectors; ++v) {
        vd diagonal = (-2.0 * scale * scale * scale) * pivot[v];
        for (std::int64_t p = begin; p < end; ++p) {
          const std::size_t i = at_.row[p], at = i * vectors + v;
          d[p * vectors + v] = -dy[at];
          diagonal += l[i] * dy[at] - dl[at] * Z_[p];
          dy[at] = dl[at] = vd{};
        }
        d[(begin - 1) * vectors + v] = diagonal;
      }
      for (std::int64_t p = begin; p < end; ++p) here[at_.row[p]] = 0;
    }
  }

  // What column k of Z and dZ adds to d(Z l).
  void add_inverse_products(std::int32_t k, std::size_t vectors, const vd* d,
                            const std::vector<double>& l, const std::vector<vd>& dl,
                            const std::vector<char>& here, std::vector<vd>& dy) const {
    const std::int64_t own = at_.first[k];
    for (std::size_t v = 0; v < vectors; ++v)
      dy[k * vectors + v] += d[own * vectors + v] * l[k] + Z_[own] * dl[k * vectors + v];
    for (std::int64_t s = own + 1; s < at_.first[k + 1]; ++s) {
      const std::int32_t i = at_.row[s];
      if (!here[i]) continue;
      for (std::size_t v = 0; v < vectors; ++v) {
        const vd dZ = d[s * vectors + v];
        dy[i * vectors + v] += dZ * l[k] + Z_[s] * dl[k * vectors + v];
        dy[k * vectors + v] += dZ * l[i] + Z_[s] * dl[i * vectors + v];
      }
    }
  }

  SparsePattern at_;
  std::vector<double> L_, Z_;
  double half_log_determinant_ = 0.0;
};

}  // namespace

std::unique_ptr<Remainder> sparse_remainder(SparsePattern pattern) {
  return std::make_unique<SparseRemainder>(std::move(pattern));
}

}  // namespace multilogit
