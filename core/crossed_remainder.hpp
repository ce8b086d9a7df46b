// The remainder S = H_RR - sum_g H_Rg H_gg^-1 H_gR of a crossed model once its largest factor is
// eliminated: symmetric and positive definite, kept dense or sparse (docs/mathematics.md,
// section 8).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "crossed_pattern.hpp"
#include "simd.hpp"

namespace multilogit {

// Adds rows >= k of the columns k of a stripe of S, `ld` apart.
using StripeSource = std::function<void(std::size_t stripe, double* columns, std::size_t ld)>;

// Derivatives E_1, E_2, ... of S.
struct DirectionSource {
  // Rows before `to` of the columns k of a stripe of every E, side by side, from row k on unless
  // the `whole` is wanted: added to `columns`, each n x width numbers.
  std::function<void(std::size_t stripe, bool whole, std::size_t to, double* columns)> stripe;
  // Products of slots, where they are not in that but made all at once: T such that they are -T -
  // T', into a matrix of zeros. Null where slots are few.
  std::function<void(std::size_t direction, double* T, std::size_t ld)> products;
  std::size_t width;  // whole registers where the remainder is sparse
  std::size_t count;  // directions
};

class Remainder {
 public:
  virtual ~Remainder() = default;

  // S, then its Cholesky factor; false when it is not positive definite.
  virtual void assemble(const StripeSource& source, std::size_t threads) = 0;
  virtual bool factor(std::size_t threads) = 0;
  // A dense S after `assemble` (row-major, upper triangle), or S^-1 after `invert`; null if sparse.
  virtual double* matrix() { return nullptr; }
  virtual std::size_t leading_dimension() const { return 0; }
  virtual double half_log_determinant() const = 0;
  // x <- S^-1 x for the n x width matrix x, row-major.
  virtual void solve(double* x, std::size_t width, std::size_t threads) const = 0;
  // From here on, until the next `factor`, elements of S^-1 are there.
  virtual void invert(std::size_t threads) = 0;
  // Columns of a stripe of S^-1, at least where S can be nonzero; `leading_dimension` apart, where
  // they are several. `work`: n numbers, zero before and after; give them back by `release` before
  // the next call.
  virtual const double* inverse_stripe(std::size_t stripe, double* work) const = 0;
  virtual void release(std::size_t stripe, double* work) const = 0;
  // out_kl = tr(S^-1 E_k S^-1 E_l), count x count.
  virtual void traces(const DirectionSource& source, double* out, std::size_t threads) = 0;
  // Multiply-adds of one `factor`.
  virtual double work() const = 0;
};

// Stripes: `stripe` columns of a dense remainder, one of a sparse one.
std::unique_ptr<Remainder> dense_remainder(std::size_t n, std::size_t stripe);
// Doubles that the traces of `count` directions, or of fewer, need besides.
double dense_directions(double n, double count, double fewer);
std::unique_ptr<Remainder> sparse_remainder(SparsePattern pattern);

}  // namespace multilogit
