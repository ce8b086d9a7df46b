// Products of slots where groups meet much of the remainder, as in designs in which every person
// sees every item: slots are laid out as dense rows, some groups at a time, and multiplied as such.
#include <algorithm>

#include "crossed.hpp"
#include "crossed_lanes.hpp"
#include "dense.hpp"

namespace multilogit {

namespace {

constexpr std::size_t kBatchRows = 192;

}  // namespace

// Calls work(first group, end, first slot, end, rows) for some groups at a time.
template <class Work>
void CrossedData::for_each_batch(const Work& work) const {
  const std::size_t q_E = layout_.effects[0], step = std::max<std::size_t>(1, kBatchRows / q_E);
  for (std::size_t g = 0; g < layout_.groups; g += step) {
    const std::size_t end = std::min(layout_.groups, g + step);
    work(g, end, (end - g) * q_E);
  }
}

// Dense rows of the groups from .. to - 1, n_R columns: element (e, k) of group g is that of the
// slot of g and k in `values`, slots x q_E, `stride` apart.
const double* CrossedData::lay_out(const double* values, std::size_t stride, std::size_t from,
                                   std::size_t to, std::vector<double>& out) const {
  const std::size_t q_E = layout_.effects[0], n = layout_.remainder;
  out.assign((to - from) * q_E * n, 0.0);
  for (std::size_t g = from; g < to; ++g)
    for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
      for (std::size_t e = 0; e < q_E; ++e)
        out[((g - from) * q_E + e) * n + layout_.slot_position[s]] = values[(s * q_E + e) * stride];
  return out.data();
}

// S -= sum_g H_Rg K_g
void CrossedData::subtract_filled(std::size_t threads) {
  const std::size_t n = layout_.remainder, ld = remainder_->leading_dimension();
  std::vector<double> H, K;
  for_each_batch([&](std::size_t from, std::size_t to, std::size_t rows) {
    multiply_add(n, n, rows, -1.0, {lay_out(H_R_.data(), 1, from, to, H), 1, n},
                 {lay_out(K_.data(), 1, from, to, K), n, 1}, remainder_->matrix(), ld, threads,
                 true);
  });
}

// values S^-1 of every slot, for values at the slots: out, slots x q_E, is `out_stride` apart.
void CrossedData::multiply_filled(const double* values, std::size_t stride, double scale,
                                  double* out, std::size_t out_stride, std::size_t threads) const {
  const std::size_t n = layout_.remainder, ld = remainder_->leading_dimension();
  const std::size_t q_E = layout_.effects[0];
  std::vector<double> left, product;
  for_each_batch([&](std::size_t from, std::size_t to, std::size_t rows) {
    product.assign(rows * n, 0.0);
    multiply_add(rows, n, n, scale, {lay_out(values, stride, from, to, left), n, 1},
                 {remainder_->matrix(), ld, 1}, product.data(), n, threads);
    for (std::size_t g = from; g < to; ++g)
      for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
        for (std::size_t e = 0; e < q_E; ++e)
          out[(s * q_E + e) * out_stride] =
              product[((g - from) * q_E + e) * n + layout_.slot_position[s]];
  });
}

// T += sum_g K_g'X_g of one direction.
void CrossedData::add_filled_direction(std::size_t direction, std::size_t width, double* T,
                                       std::size_t ld, std::size_t threads) const {
  const std::size_t n = layout_.remainder;
  std::vector<double> K, X;
  for_each_batch([&](std::size_t from, std::size_t to, std::size_t rows) {
    multiply_add(n, n, rows, 1.0, {lay_out(K_.data(), 1, from, to, K), 1, n},
                 {lay_out(doubles(X_) + direction, width, from, to, X), n, 1}, T, ld, threads);
  });
}

}  // namespace multilogit
