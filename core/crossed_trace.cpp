// tr(H^-1 H_k H^-1 H_l) of the crossed model, by blocks (docs/mathematics.md, section 8). With
// dH = H_k and
//
//   N_g = dH_gR - dH_gg K_g,   X_g = dH_gR - dH_gg K_g / 2,   E = dH_RR - sum_g (K_g'X_g + X_g'K_g)
//
// it is sum_g { tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l) + 2 tr(H_gg^-1 N_k,g S^-1 N_l,g') }
// + tr(S^-1 E_k S^-1 E_l). Directions k stand in the lanes of registers R: of short ones where they
// are few, as what they need of memory is what costs.
#include <algorithm>

#include "crossed_derivatives.hpp"
#include "crossed_lanes.hpp"
#include "crossed_rows.hpp"

namespace multilogit {

namespace {

using Pair = double __attribute__((vector_size(16)));

template <class R>
constexpr std::size_t kWidth = sizeof(R) / sizeof(double);

template <class R>
R* registers(std::vector<vd>& numbers) {
  return reinterpret_cast<R*>(numbers.data());
}
template <class R>
const R* registers(const std::vector<vd>& numbers) {
  return reinterpret_cast<const R*>(numbers.data());
}

// out_kl += scale left_k right_l for the directions in `vectors` registers.
template <class R>
void add_outer(const R* left, const R* right, std::size_t vectors, double scale, R* out) {
  for (std::size_t k = 0; k < vectors * kWidth<R>; ++k) {
    const double factor = scale * left[k / kWidth<R>][k % kWidth<R>];
    for (std::size_t v = 0; v < vectors; ++v) out[k * vectors + v] += factor * right[v];
  }
}

// out += sum_s column[position[s]] N_s, W registers of each, N_s `width` apart.
template <int W, class R>
void add_gathered(const R* N, std::size_t width, const double* column, const std::int32_t* position,
                  std::size_t from, std::size_t to, R* out) {
  R sums[W] = {};
  for (std::size_t s = from; s < to; ++s) {
    const double factor = column[position[s]];
    for (int j = 0; j < W; ++j) sums[j] += factor * N[s * width + j];
  }
  for (int j = 0; j < W; ++j) out[j] += sums[j];
}

}  // namespace

// V_c = kappa3(., ., D)_c A / 2 + (W dA)_c, so that row i's part in H_k is the sum over logits c of
// V_c a_c' + a_c V_c'. C x q x vectors registers, and C x vectors more to work with.
template <class S, class R, int kVectors>
MULTILOGIT_INLINE void CrossedData::direction_row(std::size_t i, std::size_t vectors,
                                                  R* out) const {
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const double* A = effects_of<S>(i);
  R K[packed_size(S::binomial ? 1 : kMaxRowLogits)];
  R* D = out + C * q * vectors;
  predictor<S, kVectors>(i, vectors, D);
  add_modes<S>(i, vectors, D);
  for (std::size_t v = 0; v < vectors; ++v) {
    third_of_directions<S>(i, D + v, vectors, K);
    for (int c = 0; c < C; ++c)
      for (int b = 0; b < q; ++b) {
        R sum{};
        for (int d = 0; d < C; ++d) sum += K[packed(c, d)] * A[d * q + b];
        out[(c * q + b) * vectors + v] = 0.5 * sum;
      }
  }
  for (int k = 0; k < thetas<S>(); ++k) {
    const int a = theta_row_[k];
    const std::size_t v = kVectors == 1 ? 0 : k / kWidth<R>;
    for (int c = 0; c < C; ++c)
      out[(c * q + theta_column_[k]) * vectors + v] +=
          (weight<S>(i, c, logit<S>(a)) * z_[i * q + z_index_[a]]) * load<R>(doubles(&unit_[k]));
  }
}

// dH_gg, N_g and X_g; adds the diagonal blocks of dH_RR to H_levels, the group's term to `sums`.
template <class S, class R, int kVectors>
void CrossedData::differentiate_group(std::size_t g, std::size_t made, R* work, R* H_levels,
                                      R* sums) {
  const std::size_t q_E = effects<S>(0), vectors = kVectors ? kVectors : made;
  const int others = factors<S>() - 1, C = S::C ? S::C : C_, q = row_effects<S>();
  R *H = work, *HinvH = H + q_E * q_E * vectors, *directions = HinvH + q_E * q_E * vectors;
  R *X = registers<R>(X_), *N = registers<R>(N_);
  const std::size_t first_slot = layout_.group_slots[g], end_slot = layout_.group_slots[g + 1];
  std::fill(X + first_slot * q_E * vectors, X + end_slot * q_E * vectors, R{});
  std::fill_n(H, q_E * q_E * vectors, R{});
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    direction_row<S, R, kVectors>(i, vectors, directions);
    for (int l = 0; l < C; ++l) {
      const double* a = effects_of<S>(i) + l * q;
      const R* W = directions + l * q * vectors;
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t v = 0; v < vectors; ++v) {
          const R We = W[e * vectors + v];
          for (std::size_t d = 0; d < q_E; ++d)
            H[(e * q_E + d) * vectors + v] += We * a[d] + W[d * vectors + v] * a[e];
          for (int f = 0; f < others; ++f) {
            const std::size_t slot = layout_.row_slot[i * others + f];
            for (int b = 0; b < effects<S>(f + 1); ++b) {
              const int c = first<S>(f + 1) + b;
              X[((slot + b) * q_E + e) * vectors + v] += We * a[c] + W[c * vectors + v] * a[e];
            }
          }
        }
      for (int f = 1; f <= others; ++f) {
        R* out = H_levels + (variable<S>(i)[f] - layout_.eliminated_effects) * widest_ * vectors;
        for (int b = first<S>(f); b < first<S>(f + 1); ++b, out += widest_ * vectors)
          for (int c = first<S>(f); c < first<S>(f + 1); ++c)
            for (std::size_t v = 0; v < vectors; ++v)
              out[(c - first<S>(f)) * vectors + v] +=
                  W[b * vectors + v] * a[c] + W[c * vectors + v] * a[b];
      }
    }
  }
  for (std::size_t s = first_slot; s < end_slot; ++s)
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t v = 0; v < vectors; ++v) {
        R HK{};
        for (std::size_t d = 0; d < q_E; ++d)
          HK += H[(e * q_E + d) * vectors + v] * K_[s * q_E + d];
        const std::size_t here = (s * q_E + e) * vectors + v;
        N[here] = X[here] - HK;
        X[here] -= 0.5 * HK;
      }
  add_group_trace<S, R>(g, vectors, H, HinvH, sums);
}

// sums_kl += tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l)
template <class S, class R>
void CrossedData::add_group_trace(std::size_t g, std::size_t vectors, const R* H, R* A,
                                  R* sums) const {
  const std::size_t q_E = effects<S>(0);
  std::fill_n(A, q_E * q_E * vectors, R{});  // H_gg^-1 dH_gg
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d)
      for (std::size_t c = 0; c < q_E; ++c)
        for (std::size_t v = 0; v < vectors; ++v)
          A[(e * q_E + d) * vectors + v] +=
              Hinv_[(g * q_E + e) * q_E + c] * H[(c * q_E + d) * vectors + v];
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d)
      add_outer(&A[(e * q_E + d) * vectors], &A[(d * q_E + e) * vectors], vectors, 1.0, sums);
}

// What a stripe of S^-1 contributes to 2 sum_g tr(H_gg^-1 N_k,g S^-1 N_l,g'): twice what the slots
// from the diagonal on do, which is the same once k and l are exchanged and averaged.
template <class S, class R, int kVectors>
void CrossedData::add_cross_trace(std::size_t stripe, std::size_t made, double* work, R* memory,
                                  R* sums) const {
  const std::size_t q_E = effects<S>(0), vectors = kVectors ? kVectors : made;
  const std::size_t width = q_E * vectors;
  constexpr std::size_t known = S::effects * kVectors;
  R on_stack[known ? 2 * known : 1];
  R *right = known ? on_stack : memory, *left = right + width;
  const R* N = registers<R>(N_);
  const double* columns = remainder_->inverse_stripe(stripe, work);
  const std::size_t begin = begin_of(stripe), ld = remainder_->leading_dimension();
  const std::int32_t* position = layout_.slot_position.data();
  for (const auto* slot = layout_.stripe_slots.begin(stripe);
       slot != layout_.stripe_slots.end(stripe); ++slot) {
    const std::size_t g = layout_.slot_group[*slot], end = layout_.group_slots[g + 1];
    const std::size_t k = position[*slot];
    const double* column = columns + (k - begin) * ld;
    std::size_t s = *slot;
    for (std::size_t j = 0; j < width; ++j) right[j] = 0.5 * column[k] * N[s * width + j];
    std::fill_n(left, width, R{});
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t d = 0; d < q_E; ++d)
        for (std::size_t v = 0; v < vectors; ++v)
          left[e * vectors + v] += Hinv_[(g * q_E + e) * q_E + d] * N[(s * q_E + d) * vectors + v];
    ++s;
    if constexpr (known == 1) {  // sums that do not wait for each other
      R apart[4] = {};
      for (; s + 4 <= end; s += 4)
        for (int c = 0; c < 4; ++c) apart[c] += column[position[s + c]] * N[s + c];
      right[0] += (apart[0] + apart[1]) + (apart[2] + apart[3]);
    }
    const std::size_t whole = known ? 0 : width / 4 * 4;
    for (std::size_t j = 0; j < whole; j += 4)
      add_gathered<4>(N + j, width, column, position, s, end, right + j);
    for (std::size_t j = whole; j < width; ++j)
      add_gathered<1>(N + j, width, column, position, s, end, right + j);
    for (std::size_t e = 0; e < q_E; ++e)
      add_outer(left + e * vectors, right + e * vectors, vectors, 4.0, sums);
  }
  remainder_->release(stripe, work);
}

// The same of all columns where products of slots are dense.
template <class R>
void CrossedData::add_filled_trace(std::size_t count, std::size_t vectors, R* sums,
                                   std::size_t threads) const {
  const std::size_t q_E = layout_.effects[0], lanes = vectors * kWidth<R>;
  std::vector<vd> products(N_.size());  // N S^-1
  std::vector<R> left(vectors);         // H_gg^-1 N
  for (std::size_t k = 0; k < count; ++k)
    multiply_filled(doubles(N_) + k, lanes, 1.0, doubles(products) + k, lanes, threads);
  const R *N = registers<R>(N_), *right = registers<R>(products);
  for (std::size_t s = 0; s < layout_.slots(); ++s) {
    const std::size_t g = layout_.slot_group[s];
    for (std::size_t e = 0; e < q_E; ++e) {
      std::fill(left.begin(), left.end(), R{});
      for (std::size_t d = 0; d < q_E; ++d)
        for (std::size_t v = 0; v < vectors; ++v)
          left[v] += Hinv_[(g * q_E + e) * q_E + d] * N[(s * q_E + d) * vectors + v];
      add_outer(left.data(), right + (s * q_E + e) * vectors, vectors, 2.0, sums);
    }
  }
}

// Rows before `to` of the columns k of a stripe of E, from k on unless the `whole` is wanted;
// columns are n_R x made registers.
template <class S, class R, int kVectors>
void CrossedData::direction_stripe(std::size_t stripe, bool whole, std::size_t to, std::size_t made,
                                   R* columns) const {
  const std::size_t q_E = effects<S>(0), vectors = kVectors ? kVectors : made;
  const std::size_t begin = begin_of(stripe), ld = layout_.remainder * vectors;
  for (std::size_t k = begin; k < end_of(stripe); ++k)
    add_row_directions<S, R, kVectors>(k, whole ? 0 : k, to, made, columns + (k - begin) * ld);
  if (plan_.filled) return;
  const R* X = registers<R>(X_);
  const std::int32_t* position = layout_.slot_position.data();
  for (const auto* slot = layout_.stripe_slots.begin(stripe);
       slot != layout_.stripe_slots.end(stripe); ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    const std::size_t here = *slot, end = layout_.group_slots[g + 1];
    R* column = columns + (position[here] - begin) * ld;
    for (std::size_t s = whole ? layout_.group_slots[g] : here;
         s < end && static_cast<std::size_t>(position[s]) < to; ++s) {
      R* out = column + position[s] * vectors;
      for (std::size_t v = 0; v < vectors; ++v) {
        R sum = out[v];
        for (std::size_t e = 0; e < q_E; ++e)
          sum -= K_[s * q_E + e] * X[(here * q_E + e) * vectors + v] +
                 X[(s * q_E + e) * vectors + v] * K_[here * q_E + e];
        out[v] = sum;
      }
    }
  }
}

// dH_RR
template <class S, class R, int kVectors>
void CrossedData::add_row_directions(std::size_t k, std::size_t from, std::size_t to,
                                     std::size_t made, R* column) const {
  const std::size_t n_E = layout_.eliminated_effects, vectors = kVectors ? kVectors : made;
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const std::int32_t c = layout_.block[k];
  const R* dH_levels = registers<R>(dH_levels_);
  for (int e = 0; e < layout_.effects[layout_.block_factor[c]]; ++e) {
    const std::size_t j = layout_.block_position[c] + e;
    for (std::size_t v = 0; from <= j && j < to && v < vectors; ++v)
      column[j * vectors + v] += dH_levels[(k * widest_ + e) * vectors + v];
  }
  if (factors<S>() == 2) return;
  const int own = layout_.effect(static_cast<std::int32_t>(k));
  std::vector<R> directions(C * (q + 1) * vectors);
  for (const auto* row = layout_.block_rows.begin(c); row != layout_.block_rows.end(c); ++row) {
    const auto i = static_cast<std::size_t>(*row);
    direction_row<S, R, kVectors>(i, vectors, directions.data());
    for (int l = 0; l < C; ++l) {
      const double* a = effects_of<S>(i) + l * q;
      const R* W = &directions[l * q * vectors];
      for (int f = 1; f < factors<S>(); ++f)
        for (int e = 0; e < effects<S>(f); ++e) {
          const std::size_t position = variable<S>(i)[f] - n_E + e;
          if (f == layout_.block_factor[c] || position < from || position >= to) continue;
          const int b = first<S>(f) + e;
          for (std::size_t v = 0; v < vectors; ++v)
            column[position * vectors + v] +=
                W[own * vectors + v] * a[b] + W[b * vectors + v] * a[own];
        }
    }
  }
}

// Whether the remainder's term costs little for all pairs of parameters, beside what else is to be
// done: both in nanoseconds, as measured on one machine.
bool CrossedData::trace_is_cheap() const {
  const double direction = 0.15 * remainder_->work();  // n^3 flops
  const double directions = 1.5 * layout_.pairs() * static_cast<double>(trace_vectors());
  const double rest =
      150.0 * static_cast<double>(layout_.rows) + (1.0 + m()) * direction + 3.0 * directions;
  return (plan_.sparse ? 0.0 : p_ * direction) < 0.5 * rest;
}

// Calls pass<S, R, V>(): sizes of the model, and V registers R of `count` directions, as far as the
// compiler knows.
template <class Pass>
void CrossedData::with_directions(std::size_t count, const Pass& pass) const {
#ifndef MULTILOGIT_ANY_SIZE
  const bool scalar = scalar_effects(), few = count <= kLanes;
  if (scalar && layout_.factors == 2 && count <= kWidth<Pair> && !plan_.sparse)
    return pass.template operator()<ScalarPair, Pair, 1>();
  if (scalar && layout_.factors == 2 && few) return pass.template operator()<ScalarPair, vd, 1>();
  if (scalar) return pass.template operator()<Scalars, vd, 0>();
  if (C_ == 1 && few) return pass.template operator()<OneLogit, vd, 1>();
#endif
  pass.template operator()<AnySizes, vd, 0>();
}

// tr(H^-1 H_k H^-1 H_l), of pairs of thetas alone unless all are wanted; zero elsewhere.
std::vector<double> CrossedData::make_traces(bool all, std::size_t threads) {
  const std::size_t lanes = size(), count = all ? lanes : m();
  std::vector<double> traces(count * count), out(lanes * lanes);
  with_directions(count, [&]<class S, class R, int V>() {
    const std::size_t vectors = (count + kWidth<R> - 1) / kWidth<R>;
    add_slot_traces<S, R, V>(traces, count, vectors, threads);
    add_remainder_traces<S, R, V>(traces, count, vectors, threads);
  });
  for (std::size_t k = 0; k < count; ++k) std::copy_n(&traces[k * count], count, &out[k * lanes]);
  return out;
}

// What groups and slots contribute; X and dH_RR for what the remainder does.
template <class S, class R, int kVectors>
void CrossedData::add_slot_traces(std::vector<double>& out, std::size_t count, std::size_t vectors,
                                  std::size_t threads) {
  const std::size_t groups = group_ranges_.count(), stripes = stripe_ranges_.count();
  const std::size_t q_E = layout_.effects[0], lanes = vectors * kWidth<R>;
  const auto registers_of = [&](std::size_t n) { return (n * lanes + kLanes - 1) / kLanes; };
  X_.resize(registers_of(layout_.slots() * q_E));
  N_.resize(X_.size());
  std::vector<std::vector<R>> sums(groups + stripes, std::vector<R>(lanes * vectors));
  LevelSums<R> H_levels(groups, layout_.remainder * widest_ * vectors);
  for_each_slot(groups, threads, [&](std::size_t, std::size_t range) {
    std::vector<R> work((2 * q_E * q_E + C_ * (q_ + 1)) * vectors);
    for (std::size_t g = group_ranges_.first[range]; g < group_ranges_.first[range + 1]; ++g)
      differentiate_group<S, R, kVectors>(g, vectors, work.data(), H_levels.of(range),
                                          sums[range].data());
  });
  dH_levels_.assign(registers_of(layout_.remainder * widest_), vd{});
  H_levels.add_to(registers<R>(dH_levels_));
  if (plan_.filled) add_filled_trace(count, vectors, sums[groups].data(), threads);
  for_each_slot(plan_.filled ? 0 : stripes, threads, [&](std::size_t, std::size_t range) {
    std::vector<double> work(layout_.remainder);
    std::vector<R> memory(2 * q_E * vectors);
    for (std::size_t t = stripe_ranges_.first[range]; t < stripe_ranges_.first[range + 1]; ++t)
      add_cross_trace<S, R, kVectors>(t, vectors, work.data(), memory.data(),
                                      sums[groups + range].data());
  });
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t l = 0; l < count; ++l)
      for (const auto& part : sums)
        out[k * count + l] += part[k * vectors + l / kWidth<R>][l % kWidth<R>];
}

// tr(S^-1 E_k S^-1 E_l)
template <class S, class R, int kVectors>
void CrossedData::add_remainder_traces(std::vector<double>& out, std::size_t count,
                                       std::size_t vectors, std::size_t threads) {
  if (layout_.remainder == 0) return;
  std::vector<double> traces(count * count);
  DirectionSource source;
  source.width = vectors * kWidth<R>;
  source.count = count;
  source.stripe = [&](std::size_t stripe, bool whole, std::size_t to, double* columns) {
    direction_stripe<S, R, kVectors>(stripe, whole, to, vectors, reinterpret_cast<R*>(columns));
  };
  if (plan_.filled)
    source.products = [&](std::size_t direction, double* T, std::size_t ld) {
      add_filled_direction(direction, source.width, T, ld, threads);
    };
  remainder_->traces(source, traces.data(), threads);
  for (std::size_t i = 0; i < traces.size(); ++i) out[i] += traces[i];
}

}  // namespace multilogit
