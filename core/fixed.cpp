#include "fixed.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "binomial.hpp"
#include "categorical.hpp"
#include "gram.hpp"
#include "parallel.hpp"

namespace multilogit {
namespace {

// Consecutive rows, packed into tiles: what fits the caches is worked on at once.
struct Chunk {
  std::size_t row, rows, tiles;
};

constexpr std::size_t kChunkRows = kStripTiles * kLanes;
constexpr std::size_t kSlotRows = 4096;  // at least so many in a slot

vd load(const double* from, std::size_t count) {
  vd out{};
  std::memcpy(&out, from, std::min<std::size_t>(count, kLanes) * sizeof(double));
  return out;
}

// The elements of `column` that belong to the chunk, tile by tile; zeros fill the last tile.
void pack(const double* column, const Chunk& chunk, vd* to, std::size_t stride) {
  const std::size_t full = chunk.rows / kLanes;
  const double* from = column + chunk.row;
  for (std::size_t t = 0; t < full; ++t, from += kLanes)
    std::memcpy(to + t * stride, from, sizeof(vd));
  if (full < chunk.tiles) to[full * stride] = load(from, chunk.rows - full * kLanes);
}

// The chunk of X, column after column, kStripTiles registers each; zeros fill the last chunk.
void pack_columns(const FixedColumnsView& data, const Chunk& chunk, vd* to) {
  for (const double* column : data.columns) {
    const double* from = column + chunk.row;
    if (chunk.rows == kChunkRows) {
      for (std::size_t t = 0; t < kStripTiles; ++t)
        std::memcpy(to + t, from + t * kLanes, sizeof(vd));
    } else {
      std::fill(to, to + kStripTiles, vd{});
      std::memcpy(to, from, chunk.rows * sizeof(double));
    }
    to += kStripTiles;
  }
}

// Sums over rows: `value`, one vector X'r for every right-hand side r, one matrix X'diag(w)X for
// every weight w (on and right of the diagonal).
struct Sums {
  double value = 0.0;
  std::vector<double> products, grams;

  Sums(std::size_t p, std::size_t sides, std::size_t weights)
      : products(sides * p), grams(weights * p * p) {}

  void add(const Sums& other) {
    value += other.value;
    for (std::size_t i = 0; i < products.size(); ++i) products[i] += other.products[i];
    for (std::size_t i = 0; i < grams.size(); ++i) grams[i] += other.grams[i];
  }
};

// What one thread works in: the tiles of X, and r and w, kStripTiles of each; one categorical row.
struct Workspace {
  std::vector<vd> x, r, w, y, eta, row;
  Columns columns() const { return {x.data(), 1, kStripTiles}; }
};

// 64, or fewer where the sums of so many slots would take more than 64 MB.
std::size_t most_slots(std::size_t p, std::size_t sides, std::size_t weights) {
  const std::size_t doubles = sides * p + weights * p * p + 1;
  return std::clamp<std::size_t>(8000000 / doubles, 1, 64);
}

// The skeleton of every pass. rows_of(chunk, workspace) turns the packed X into r and w and
// returns its share of the value.
template <class RowsOf>
Sums pass(const FixedColumnsView& data, std::size_t sides, std::size_t weights, std::size_t threads,
          const RowsOf& rows_of) {
  const std::size_t p = data.columns.size();
  const std::size_t chunks = (data.rows + kChunkRows - 1) / kChunkRows;
  const std::size_t slots =
      std::clamp<std::size_t>(data.rows / kSlotRows, 1, most_slots(p, sides, weights));
  if (data.rows * (sides + weights) * (p + 8) < 1000000) threads = 1;
  threads = std::clamp<std::size_t>(threads, 1, slots);

  std::vector<Sums> sums(slots, Sums(p, sides, weights));
  std::vector<Workspace> workspaces(threads);
  for_each_slot(slots, threads, [&](std::size_t worker, std::size_t slot) {
    Workspace& work = workspaces[worker];
    work.x.resize(kStripTiles * p);
    work.r.resize(kStripTiles * sides);
    work.w.resize(kStripTiles * weights);
    Sums& sum = sums[slot];
    for (std::size_t c = slot * chunks / slots; c < (slot + 1) * chunks / slots; ++c) {
      const std::size_t rows = std::min(kChunkRows, data.rows - c * kChunkRows);
      const Chunk chunk{c * kChunkRows, rows, (rows + kLanes - 1) / kLanes};
      pack_columns(data, chunk, work.x.data());
      sum.value += rows_of(chunk, work);
      for (std::size_t j = 0; j < sides; ++j)
        add_product(work.columns(), p, work.r.data() + j * kStripTiles, chunk.tiles,
                    sum.products.data() + j * p);
      add_grams(work.columns(), p, {work.w.data(), kStripTiles, weights}, chunk.tiles,
                sum.grams.data());
    }
  });
  for (std::size_t s = 1; s < slots; ++s) sums[0].add(sums[s]);
  return std::move(sums[0]);
}

// Predictors, counts and trials of one chunk, and from them r, w and the value.
class Rows {
 public:
  Rows(const FixedColumnsView& data, const double* beta) : data_(data), beta_(beta) {}

  double operator()(const Chunk& chunk, Workspace& work) const {
    const std::size_t c = data_.counts.size();
    work.y.resize(kStripTiles * (c + 1));
    work.eta.resize(kStripTiles * c);
    work.row.resize(2 * c + c * (c + 1) / 2);
    load_counts(chunk, work);
    predict(chunk, work);
    switch (c) {
      case 1: return binomial(chunk, work);
      case 2: return multinomial<2>(chunk, work);
      case 3: return multinomial<3>(chunk, work);
      default: return multinomial<0>(chunk, work);
    }
  }

 private:
  // y[t][j]: weighted counts; y[t][C]: weighted trials.
  void load_counts(const Chunk& chunk, Workspace& work) const {
    const std::size_t c = data_.counts.size(), stride = c + 1;
    for (std::size_t j = 0; j < c; ++j) pack(data_.counts[j], chunk, work.y.data() + j, stride);
    pack(data_.trials, chunk, work.y.data() + c, stride);
    if (data_.weights == nullptr) return;
    pack(data_.weights, chunk, work.w.data(), 1);  // where w itself will be
    for (std::size_t t = 0; t < chunk.tiles; ++t)
      for (std::size_t j = 0; j < stride; ++j) work.y[t * stride + j] *= work.w[t];
  }

  // eta[t][j] = o_j + X beta_j
  void predict(const Chunk& chunk, Workspace& work) const {
    const std::size_t p = data_.columns.size(), c = data_.counts.size();
    if (data_.offset.empty()) {
      std::fill(work.eta.begin(), work.eta.end(), vd{});
    } else {
      for (std::size_t j = 0; j < c; ++j) pack(data_.offset[j], chunk, work.eta.data() + j, c);
    }
    for (std::size_t j = 0; j < c; ++j)
      for (std::size_t t = 0; t < kStripTiles; t += kSideBySide)
        add_predictor(beta_ + j * p, p, work.x.data() + t, &work.eta[t * c + j], c);
  }

  // eta += X beta in kSideBySide tiles at a time: one waits for its own last sum only.
  static constexpr std::size_t kSideBySide = 8;
  static_assert(kStripTiles % kSideBySide == 0);

  static void add_predictor(const double* beta, std::size_t p, const vd* x, vd* eta,
                            std::size_t stride) {
    vd sums[kSideBySide] = {};
    for (std::size_t k = 0; k < p; ++k) {
      const vd slope = keep(splat(beta[k]));
      for (std::size_t i = 0; i < kSideBySide; ++i) sums[i] += slope * x[k * kStripTiles + i];
    }
    for (std::size_t i = 0; i < kSideBySide; ++i) eta[i * stride] += sums[i];
  }

  // Asks for the rows of X that tile t of the next chunk will need, so that memory is busy while
  // exponentials are computed: 4 of 28 ns per row of 21 columns. Many columns only get in the way.
  // Inline: GCC drops calls that have no effect on values.
  MULTILOGIT_INLINE void ask_for_next(const Chunk& chunk, std::size_t t) const {
    constexpr std::size_t kLine = 8, kMostColumns = 32;
    const std::size_t row = chunk.row + kChunkRows + t * kLanes;
    if (data_.columns.size() > kMostColumns || t * kLanes % kLine != 0 || row >= data_.rows) return;
    for (const double* column : data_.columns) __builtin_prefetch(column + row, 0, 2);
  }

  double binomial(const Chunk& chunk, Workspace& work) const {
    vd value{};
    for (std::size_t t = 0; t < chunk.tiles; ++t) {
      ask_for_next(chunk, t);
      const BinomialRow row = binomial_row(work.eta[t], work.y[2 * t], work.y[2 * t + 1]);
      work.r[t] = row.r;
      work.w[t] = row.w;
      value += row.value;
    }
    return sum(value);
  }

  // C = 0: any number of logits.
  template <int C>
  double multinomial(const Chunk& chunk, Workspace& work) const {
    const int c = C > 0 ? C : static_cast<int>(data_.counts.size());
    const int pairs = packed_size(c);
    vd *pi = work.row.data(), *r = pi + c, *w = r + c, value{};
    for (std::size_t t = 0; t < chunk.tiles; ++t) {
      ask_for_next(chunk, t);
      const vd* y = work.y.data() + t * (c + 1);
      value += categorical_row(c, work.eta.data() + t * c, y, y[c], pi, r, w);
      for (int j = 0; j < c; ++j) work.r[j * kStripTiles + t] = r[j];
      for (int i = 0; i < pairs; ++i) work.w[i * kStripTiles + t] = w[i];
    }
    return sum(value);
  }

  const FixedColumnsView& data_;
  const double* beta_;
};

// Block (j, l) of the Hessian is -X'diag(w_jl)X; both triangles are written.
std::vector<double> hessian(const Sums& sums, std::size_t p, std::size_t c) {
  const std::size_t d = c * p;
  std::vector<double> out(d * d);
  for (std::size_t j = 0; j < c; ++j)
    for (std::size_t l = j; l < c; ++l) {
      const double* gram = sums.grams.data() + packed(j, l) * p * p;
      for (std::size_t a = 0; a < p; ++a)
        for (std::size_t b = a; b < p; ++b) {
          const double h = -gram[a * p + b];
          out[(j * p + a) * d + l * p + b] = out[(j * p + b) * d + l * p + a] = h;
          out[(l * p + a) * d + j * p + b] = out[(l * p + b) * d + j * p + a] = h;
        }
    }
  return out;
}

bool all_finite(const std::vector<double>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

}  // namespace

FixedData::Result FixedData::evaluate(const double* beta, std::size_t threads) const {
  const std::size_t p = data_.columns.size(), c = logits();
  Sums sums = pass(data_, c, c * (c + 1) / 2, threads, Rows(data_, beta));
  Result result;
  result.value = sums.value;
  result.hessian = hessian(sums, p, c);
  result.gradient = std::move(sums.products);
  result.finite =
      std::isfinite(result.value) && all_finite(result.gradient) && all_finite(result.hessian);
  return result;
}

FixedData::Regression FixedData::regression(const double* w, const std::vector<const double*>& z,
                                            std::size_t threads) const {
  const std::size_t p = data_.columns.size();
  const auto rows_of = [&](const Chunk& chunk, Workspace& work) {
    for (std::size_t j = 0; j < z.size(); ++j)
      pack(z[j], chunk, work.r.data() + j * kStripTiles, 1);
    if (w != nullptr)
      pack(w, chunk, work.w.data(), 1);
    else
      std::fill(work.w.begin(), work.w.end(), splat(1.0));  // zeros of x end the last tile
    return 0.0;
  };
  Sums sums = pass(data_, z.size(), 1, threads, rows_of);
  for (std::size_t a = 0; a < p; ++a)
    for (std::size_t b = 0; b < a; ++b) sums.grams[a * p + b] = sums.grams[b * p + a];
  return {std::move(sums.grams), std::move(sums.products)};
}

}  // namespace multilogit
