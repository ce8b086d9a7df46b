// tr(H^-1 H_k H^-1 H_l) of the crossed model, by blocks (docs/mathematics.md, section 8). With
// dH = H_k and
//
//   N_g = dH_gR - dH_gg K_g,   X_g = dH_gR - dH_gg K_g / 2,   E = dH_RR - sum_g (K_g'X_g + X_g'K_g)
//
// it is sum_g { tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l) + 2 tr(H_gg^-1 N_k,g S^-1 N_l,g') }
// + tr(S^-1 E_k S^-1 E_l). Directions k stand in the lanes of registers.
#include <algorithm>

#include "crossed_derivatives.hpp"
#include "crossed_lanes.hpp"
#include "crossed_rows.hpp"

namespace multilogit {

namespace {

// Calls pass<QE, V>(): sizes known to the compiler where they are 1, 0 otherwise.
template <class Pass>
void with_sizes(std::size_t q_E, std::size_t vectors, const Pass& pass) {
  if (q_E == 1 && vectors == 1) return pass.template operator()<1, 1>();
  if (q_E == 1) return pass.template operator()<1, 0>();
  if (vectors == 1) return pass.template operator()<0, 1>();
  return pass.template operator()<0, 0>();
}

// out_kl += scale left_k right_l for `count` directions k.
void add_outer(const vd* left, const vd* right, std::size_t count, std::size_t vectors,
               double scale, vd* out) {
  const double* l = doubles(left);
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t v = 0; v < vectors; ++v) out[k * vectors + v] += (scale * l[k]) * right[v];
}

// out += sum_s column[position[s]] N_s, W registers of each, N_s `width` apart.
template <int W>
void add_gathered(const vd* N, std::size_t width, const double* column,
                  const std::int32_t* position, std::size_t from, std::size_t to, vd* out) {
  vd sums[W] = {};
  for (std::size_t s = from; s < to; ++s) {
    const double factor = column[position[s]];
    for (int j = 0; j < W; ++j) sums[j] += factor * N[s * width + j];
  }
  for (int j = 0; j < W; ++j) out[j] += sums[j];
}

}  // namespace

// V_c = kappa3(., ., D)_c A / 2 + (W dA)_c, so that row i's part in H_k is the sum over logits c of
// V_c a_c' + a_c V_c'; effects first .. q - 1 of the row. C x q x vectors numbers.
template <int kC>
void CrossedData::direction_row(std::size_t i, int first, std::size_t vectors, vd* out) const {
  const int C = kC ? kC : C_;
  const double* A = effects_of(i);
  vd K[packed_size(kMaxRowLogits)];
  for (std::size_t v = 0; v < vectors; ++v) {
    third_of_slope(i, &slope_[i * C * vectors + v], vectors, K);
    for (int c = 0; c < C; ++c)
      for (int b = first; b < q_; ++b) {
        vd sum{};
        for (int d = 0; d < C; ++d) sum += K[packed(c, d)] * A[d * q_ + b];
        out[(c * q_ + b) * vectors + v] = 0.5 * sum;
      }
  }
  for (int k = 0; k < m(); ++k)
    if (theta_column_[k] >= first) {
      const int a = theta_row_[k];
      for (int c = 0; c < C; ++c)
        reinterpret_cast<double*>(out + (c * q_ + theta_column_[k]) * vectors)[k] +=
            weight<kC>(i, c, logit<kC>(a)) * z_[i * q_ + z_index_[a]];
    }
}

// dH_gg, N_g and X_g; adds the diagonal blocks of dH_RR to H_levels, the group's term to `sums`.
template <int QE, int V>
void CrossedData::differentiate_group(std::size_t g, Directions at, vd* H_levels, vd* sums) {
  const std::size_t q_E = QE ? QE : layout_.effects[0], vectors = V ? V : at.vectors;
  const int others = layout_.factors - 1;
  std::vector<vd> directions(C_ * q_ * vectors), H(q_E * q_E * vectors);
  const std::size_t first_slot = layout_.group_slots[g], end_slot = layout_.group_slots[g + 1];
  std::fill(X_.begin() + first_slot * q_E * vectors, X_.begin() + end_slot * q_E * vectors, vd{});
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    directions_of(i, 0, vectors, directions.data());
    for (int l = 0; l < C_; ++l) {
      const double* a = effects_of(i) + l * q_;
      const vd* W = &directions[l * q_ * vectors];
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t v = 0; v < vectors; ++v) {
          const vd We = W[e * vectors + v];
          for (std::size_t d = 0; d < q_E; ++d)
            H[(e * q_E + d) * vectors + v] += We * a[d] + W[d * vectors + v] * a[e];
          for (int f = 0; f < others; ++f) {
            const std::size_t slot = layout_.row_slot[i * others + f];
            for (int b = 0; b < layout_.effects[f + 1]; ++b) {
              const int c = first(f + 1) + b;
              X_[((slot + b) * q_E + e) * vectors + v] += We * a[c] + W[c * vectors + v] * a[e];
            }
          }
        }
      for (int f = 1; f <= others; ++f) {
        vd* out = H_levels + (variable(i)[f] - layout_.eliminated_effects) * widest_ * vectors;
        for (int b = first(f); b < first(f + 1); ++b, out += widest_ * vectors)
          for (int c = first(f); c < first(f + 1); ++c)
            for (std::size_t v = 0; v < vectors; ++v)
              out[(c - first(f)) * vectors + v] +=
                  W[b * vectors + v] * a[c] + W[c * vectors + v] * a[b];
      }
    }
  }
  for (std::size_t s = first_slot; s < end_slot; ++s)
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t v = 0; v < vectors; ++v) {
        vd HK{};
        for (std::size_t d = 0; d < q_E; ++d)
          HK += H[(e * q_E + d) * vectors + v] * K_[s * q_E + d];
        const std::size_t here = (s * q_E + e) * vectors + v;
        N_[here] = X_[here] - HK;
        X_[here] -= 0.5 * HK;
      }
  add_group_trace(g, at, H.data(), sums);
}

// sums_kl += tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l)
void CrossedData::add_group_trace(std::size_t g, Directions at, const vd* H, vd* sums) const {
  const std::size_t q_E = layout_.effects[0], vectors = at.vectors;
  std::vector<vd> A(q_E * q_E * vectors);  // H_gg^-1 dH_gg
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d)
      for (std::size_t c = 0; c < q_E; ++c)
        for (std::size_t v = 0; v < vectors; ++v)
          A[(e * q_E + d) * vectors + v] +=
              Hinv_[(g * q_E + e) * q_E + c] * H[(c * q_E + d) * vectors + v];
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d)
      add_outer(&A[(e * q_E + d) * vectors], &A[(d * q_E + e) * vectors], at.count, vectors, 1.0,
                sums);
}

// What column k of S^-1 contributes to 2 sum_g tr(H_gg^-1 N_k,g S^-1 N_l,g'): twice what the slots
// from the diagonal on do, which is the same once k and l are exchanged and averaged.
template <int QE, int V>
void CrossedData::add_cross_trace(std::size_t k, Directions at, double* work, vd* sums) const {
  const std::size_t q_E = QE ? QE : layout_.effects[0], vectors = V ? V : at.vectors;
  const std::size_t width = q_E * vectors;
  vd right_registers[V ? kMaxRowEffects * V : 1], left_registers[V ? kMaxRowEffects * V : 1];
  std::vector<vd> memory(V ? 0 : 2 * width);
  vd *right = V ? right_registers : memory.data(), *left = V ? left_registers : &memory[width];
  const double* column = remainder_->inverse_column(k, work);
  const std::int32_t* position = layout_.slot_position.data();
  for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
       ++slot) {
    const std::size_t g = layout_.slot_group[*slot], end = layout_.group_slots[g + 1];
    std::size_t s = *slot;
    for (std::size_t j = 0; j < width; ++j) right[j] = 0.5 * column[k] * N_[s * width + j];
    std::fill_n(left, width, vd{});
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t d = 0; d < q_E; ++d)
        for (std::size_t v = 0; v < vectors; ++v)
          left[e * vectors + v] += Hinv_[(g * q_E + e) * q_E + d] * N_[(s * q_E + d) * vectors + v];
    ++s;
    if constexpr (QE == 1 && V == 1) {  // sums that do not wait for each other
      vd apart[4] = {};
      for (; s + 4 <= end; s += 4)
        for (int c = 0; c < 4; ++c) apart[c] += column[position[s + c]] * N_[s + c];
      right[0] += (apart[0] + apart[1]) + (apart[2] + apart[3]);
    }
    const std::size_t whole = V ? 0 : width / 4 * 4;
    for (std::size_t j = 0; j < whole; j += 4)
      add_gathered<4>(&N_[j], width, column, position, s, end, right + j);
    for (std::size_t j = whole; j < width; ++j)
      add_gathered<1>(&N_[j], width, column, position, s, end, right + j);
    for (std::size_t e = 0; e < q_E; ++e)
      add_outer(left + e * vectors, right + e * vectors, at.count, vectors, 4.0, sums);
  }
  remainder_->release(k, work);
}

// 2 sum_g tr(H_gg^-1 N_k,g S^-1 N_l,g') by dense products.
void CrossedData::add_filled_trace(Directions at, vd* sums, std::size_t threads) const {
  const std::size_t q_E = layout_.effects[0], vectors = at.vectors, lanes = vectors * kLanes;
  std::vector<vd> right(N_.size()), left(vectors);  // N S^-1, H_gg^-1 N
  for (std::size_t k = 0; k < at.count; ++k)
    multiply_filled(doubles(N_.data()) + k, lanes, 1.0, doubles(right) + k, lanes, threads);
  for (std::size_t s = 0; s < layout_.slots(); ++s) {
    const std::size_t g = layout_.slot_group[s];
    for (std::size_t e = 0; e < q_E; ++e) {
      std::fill(left.begin(), left.end(), vd{});
      for (std::size_t d = 0; d < q_E; ++d)
        for (std::size_t v = 0; v < vectors; ++v)
          left[v] += Hinv_[(g * q_E + e) * q_E + d] * N_[(s * q_E + d) * vectors + v];
      add_outer(left.data(), &right[(s * q_E + e) * vectors], at.count, vectors, 2.0, sums);
    }
  }
}

// Rows from .. to - 1 of column k of E, for the directions of the first `made` registers.
template <int QE, int V>
void CrossedData::direction_column(std::size_t k, std::size_t from, std::size_t to,
                                   std::size_t made, vd* column) const {
  add_row_directions(k, from, to, made, column);
  const std::size_t q_E = QE ? QE : layout_.effects[0], width = V ? V : made;
  const std::size_t stride = trace_vectors();
  const std::int32_t* position = layout_.slot_position.data();
  for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
       ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    const std::size_t here = *slot, end = layout_.group_slots[g + 1];
    const vd* X_here = &X_[here * q_E * stride];
    const double* K_here = &K_[here * q_E];
    std::size_t s = from == k ? here : layout_.group_slots[g];
    for (; s < end && static_cast<std::size_t>(position[s]) < to; ++s) {
      if (static_cast<std::size_t>(position[s]) < from) continue;
      const vd* X = &X_[s * q_E * stride];
      vd* out = column + position[s] * width;
      for (std::size_t v = 0; v < width; ++v) {
        vd sum = out[v];
        for (std::size_t e = 0; e < q_E; ++e)
          sum -= K_[s * q_E + e] * X_here[e * stride + v] + X[e * stride + v] * K_here[e];
        out[v] = sum;
      }
    }
  }
}

// dH_RR
void CrossedData::add_row_directions(std::size_t k, std::size_t from, std::size_t to,
                                     std::size_t made, vd* column) const {
  const std::size_t n_E = layout_.eliminated_effects, vectors = trace_vectors();
  const std::int32_t c = layout_.block[k];
  for (int e = 0; e < layout_.effects[layout_.block_factor[c]]; ++e) {
    const std::size_t j = layout_.block_position[c] + e;
    for (std::size_t v = 0; from <= j && j < to && v < made; ++v)
      column[j * made + v] += dH_levels_[(k * widest_ + e) * vectors + v];
  }
  if (layout_.factors == 2) return;
  const int own = layout_.effect(static_cast<std::int32_t>(k));
  std::vector<vd> directions(C_ * q_ * vectors);
  for (const auto* row = layout_.block_rows.begin(c); row != layout_.block_rows.end(c); ++row) {
    const auto i = static_cast<std::size_t>(*row);
    directions_of(i, first(1), vectors, directions.data());
    for (int l = 0; l < C_; ++l) {
      const double* a = effects_of(i) + l * q_;
      const vd* W = &directions[l * q_ * vectors];
      for (int f = 1; f < layout_.factors; ++f)
        for (int e = 0; e < layout_.effects[f]; ++e) {
          const std::size_t position = variable(i)[f] - n_E + e;
          if (f == layout_.block_factor[c] || position < from || position >= to) continue;
          const int b = first(f) + e;
          for (std::size_t v = 0; v < made; ++v)
            column[position * made + v] +=
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
      300.0 * static_cast<double>(layout_.rows) + (1.0 + m()) * direction + 3.0 * directions;
  return (plan_.sparse ? 0.0 : p_ * direction) < 0.5 * rest;
}

// tr(H^-1 H_k H^-1 H_l); unless those of all pairs are wanted, the remainder's term is that of
// pairs of thetas alone.
std::vector<double> CrossedData::make_traces(bool all, std::size_t threads) {
  const Directions at{static_cast<std::size_t>(size()), trace_vectors()};
  const std::size_t q_E = layout_.effects[0];
  X_.resize(layout_.slots() * q_E * at.vectors);
  N_.resize(layout_.slots() * q_E * at.vectors);
  std::vector<double> out(at.count * at.count);
  with_sizes(q_E, at.vectors, [&]<int QE, int V>() { add_slot_traces<QE, V>(out, at, threads); });
  const std::size_t last = all ? size() : m();
  const std::vector<double> traces = remainder_traces(last, threads);
  for (std::size_t k = 0; k < last; ++k)
    for (std::size_t l = 0; l < last; ++l) out[k * at.count + l] += traces[k * last + l];
  return out;
}

// What groups and slots contribute, for all parameters; X and dH_RR for what the remainder does.
template <int QE, int V>
void CrossedData::add_slot_traces(std::vector<double>& out, Directions at, std::size_t threads) {
  const std::size_t groups = group_ranges_.count(), positions = position_ranges_.count();
  std::vector<std::vector<vd>> sums(groups + positions, std::vector<vd>(at.count * at.vectors));
  LevelSums<vd> H_levels(groups, layout_.remainder * widest_ * at.vectors);
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t g) {
    differentiate_group<QE, V>(g, at, H_levels.of(range), sums[range].data());
  });
  dH_levels_.assign(layout_.remainder * widest_ * at.vectors, vd{});
  H_levels.add_to(dH_levels_.data());
  if (plan_.filled) add_filled_trace(at, sums[groups].data(), threads);
  for_each_slot(plan_.filled ? 0 : positions, threads, [&](std::size_t, std::size_t range) {
    std::vector<double> work(layout_.remainder);
    for (std::size_t k = position_ranges_.first[range]; k < position_ranges_.first[range + 1]; ++k)
      add_cross_trace<QE, V>(k, at, work.data(), sums[groups + range].data());
  });
  for (std::size_t k = 0; k < at.count; ++k)
    for (std::size_t l = 0; l < at.count; ++l) {
      double total = 0.0;
      for (const auto& part : sums) total += doubles(part.data())[k * at.vectors * kLanes + l];
      out[k * at.count + l] += total;
    }
}

// tr(S^-1 E_k S^-1 E_l) of the first `count` parameters.
std::vector<double> CrossedData::remainder_traces(std::size_t count, std::size_t threads) {
  std::vector<double> traces(count * count);
  if (layout_.remainder == 0) return traces;
  const std::size_t made = (count + kLanes - 1) / kLanes;
  with_sizes(layout_.effects[0], made, [&]<int QE, int V>() {
    DirectionSource source;
    source.vectors = made;
    source.count = count;
    source.column = [&](std::size_t k, std::size_t from, std::size_t to, vd* column) {
      direction_column<QE, V>(k, from, to, made, column);
    };
    if (plan_.filled) {
      source.row_column = [&](std::size_t k, std::size_t from, std::size_t to, vd* column) {
        add_row_directions(k, from, to, made, column);
      };
      source.products = [&](std::size_t direction, double* T, std::size_t ld) {
        add_filled_direction(direction, trace_vectors(), T, ld, threads);
      };
    }
    remainder_->traces(source, traces.data(), threads);
  });
  return traces;
}

}  // namespace multilogit
