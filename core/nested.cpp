#include "nested.hpp"

#include <algorithm>

#include "categorical.hpp"
#include "packed.hpp"

namespace multilogit {

namespace {

// Mode derivatives are kept while they take at most a quarter of what the data take, in doubles;
// few of them always (8 MB), very many never (80 MB).
constexpr std::size_t kFewDerivatives = 1'000'000, kManyDerivatives = 10'000'000;

}  // namespace

void NestedTotals::add_squares(const vd* x, const vd* weight, std::size_t count) {
  const std::size_t size = gradient.size();
  add_gram(x, size, size, weight, count, hessian.data(), size);
}

void NestedTotals::add_crosses(const vd* left, const vd* right, std::size_t count) {
  const std::size_t size = gradient.size();
  add_cross(left, size, right, size, size, count, cross.data(), size);
}

NestedData::NestedData(const std::vector<const double*>& columns, int x_columns, bool categorical,
                       const std::vector<const double*>& y, const double* n, const double* offset,
                       const std::vector<const std::int32_t*>& codes, std::size_t rows,
                       const std::vector<std::size_t>& groups, const std::string& scratch)
    : layout_(codes, rows, groups),
      x_(layout_.tiles * columns.size(), scratch),
      y_(layout_.tiles * y.size(), scratch),
      n_(layout_.tiles, scratch),
      offset_(offset ? layout_.tiles : 0, scratch) {
  point_.categorical = categorical;
  point_.logits = static_cast<int>(y.size());
  point_.x_columns = x_columns;
  point_.columns = static_cast<int>(columns.size());
  point_.p = x_columns * point_.logits;
  fill_tiles(layout_.row, columns.data(), columns.size(), x_.data());
  if (offset) fill_tiles(layout_.row, &offset, 1, offset_.data());
  set_response(y, n);
}

void NestedData::set_response(const std::vector<const double*>& y, const double* n) {
  fill_tiles(layout_.row, y.data(), y.size(), y_.data());
  fill_tiles(layout_.row, &n, 1, n_.data());
  single_trials_ = std::all_of(n, n + layout_.rows, [](double x) { return x == 0.0 || x == 1.0; });
  workers_.clear();  // they know about trials
}

std::size_t NestedData::bytes() const {
  return x_.bytes() + y_.bytes() + n_.bytes() + offset_.bytes();
}

std::size_t NestedData::most_leaves() const {
  const std::vector<std::size_t>& block = layout_.levels[0].block;
  std::size_t most = 0;
  for (std::size_t s = 0; s < layout_.slots(); ++s) most = std::max(most, block[s + 1] - block[s]);
  return most * kLanes;
}

void NestedData::release() {
  workers_.clear();
  for (const Tiles* tiles : {&x_, &y_, &n_, &offset_}) tiles->release();
}

void NestedData::prefetch() const {
  for (const Tiles* tiles : {&x_, &y_, &n_, &offset_}) tiles->prefetch();
}

NestedTiles NestedData::tiles() const {
  return {x_.data(), y_.data(), n_.data(), offset_.empty() ? nullptr : offset_.data(),
          single_trials_};
}

void NestedData::set_structure(const std::vector<int>& z, const std::vector<int>& logits,
                               const std::vector<int>& effects, std::vector<int> row,
                               std::vector<int> column) {
  workers_.clear();
  point_.first = {0};
  for (const int q : effects) point_.first.push_back(point_.first.back() + q);
  point_.zeta.clear();
  point_.zeta_logit.clear();
  point_.effect_z.clear();
  for (std::size_t a = 0; a < z.size(); ++a) {
    int known = 0;
    while (known < point_.zs() &&
           (point_.zeta[known] != z[a] || point_.zeta_logit[known] != logits[a]))
      ++known;
    point_.effect_z.push_back(known);
    if (known < point_.zs()) continue;
    point_.zeta.push_back(z[a]);
    point_.zeta_logit.push_back(logits[a]);
  }
  point_.theta_first.assign(effects.size() + 1, static_cast<int>(row.size()));
  for (int d = levels() - 1; d >= 0; --d)
    point_.theta_first[d] = static_cast<int>(
        std::partition_point(row.begin(), row.end(), [&](int a) { return a < point_.first[d]; }) -
        row.begin());
  point_.theta_row = std::move(row);
  point_.theta_column = std::move(column);
  forget_modes();
}

void NestedData::set_nodes(std::vector<NodeRule> nodes) {
  workers_.clear();
  point_.nodes = std::move(nodes);
}

void NestedData::forget_modes() {
  modes_.resize(levels());
  for (int d = 0; d < levels(); ++d) {
    const std::size_t blocks = layout_.levels[d].blocks();
    const int q = point_.effects(d);
    modes_[d].u.assign(blocks * q, vd{});
    modes_[d].covariance.assign(blocks * (q * (q + 1) / 2), vd{});
  }
  forget_derivatives();
}

void NestedData::forget_derivatives() {
  for (NestedModes& modes : modes_) modes.derivatives.clear();
  last_psi_.clear();
}

void NestedData::set_modes(int d, const double* u) {
  const int q = point_.effects(d);
  auto* to = reinterpret_cast<double*>(modes_[d].u.data());
  const std::vector<std::int32_t>& node = layout_.levels[d].node;
  for (std::size_t i = 0; i < node.size(); ++i)
    if (node[i] != kNoNode)
      for (int a = 0; a < q; ++a)
        to[(i / kLanes * q + a) * kLanes + i % kLanes] =
            u[static_cast<std::size_t>(node[i]) * q + a];
  forget_derivatives();
}

void NestedData::get_modes(int d, double* u, double* covariance) const {
  const int q = point_.effects(d), s = q * (q + 1) / 2;
  const auto* modes = reinterpret_cast<const double*>(modes_[d].u.data());
  const auto* packed = reinterpret_cast<const double*>(modes_[d].covariance.data());
  const std::vector<std::int32_t>& node = layout_.levels[d].node;
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (node[i] == kNoNode) continue;
    const auto g = static_cast<std::size_t>(node[i]);
    for (int a = 0; a < q; ++a) u[g * q + a] = modes[(i / kLanes * q + a) * kLanes + i % kLanes];
    for (int c = 0; c < s; ++c)
      covariance[g * s + c] = packed[(i / kLanes * s + c) * kLanes + i % kLanes];
  }
}

// Every row counts for all nodes of its path.
void NestedData::moments(const double* beta, const std::vector<double*>& score,
                         const std::vector<double*>& information) const {
  for (int d = 0; d < levels(); ++d) {
    const std::size_t nodes = groups(d), q = point_.effects(d);
    std::fill(score[d], score[d] + nodes * q, 0.0);
    std::fill(information[d], information[d] + nodes * (q * (q + 1) / 2), 0.0);
  }
  std::vector<vd> eta(point_.logits), pi(eta), r(eta), w(packed_size(point_.logits));
  for (std::size_t slot = 0; slot < layout_.slots(); ++slot)
    for (std::size_t b = layout_.levels[0].block[slot]; b < layout_.levels[0].block[slot + 1];
         ++b) {
      const LeafBlock& block = layout_.leaves[b];
      const std::size_t end = block.tile[block.groups_in_lanes ? 1 : block.leaves];
      for (std::size_t t = block.tile[0], leaf = 0; t < end; ++t) {
        predict(t, beta, eta.data());
        categorical_score(point_.logits, eta.data(), &y_[t * point_.logits], n_[t], pi.data(),
                          r.data(), w.data());
        while (!block.groups_in_lanes && block.tile[leaf + 1] <= t) ++leaf;
        for (int lane = 0; lane < kLanes; ++lane) {
          if (layout_.row[t * kLanes + lane] == kNoRow) continue;
          const std::size_t in_block = block.groups_in_lanes ? lane : leaf;
          add_moments(slot, b * kLanes + in_block, t, lane, r.data(), w.data(), score, information);
        }
      }
    }
}

void NestedData::add_moments(std::size_t slot, std::size_t position, std::size_t tile, int lane,
                             const vd* r, const vd* w, const std::vector<double*>& score,
                             const std::vector<double*>& information) const {
  const auto z = [&](int effect) {
    return x_[tile * point_.columns + point_.zeta[point_.effect_z[effect]]][lane];
  };
  const auto logit = [&](int effect) { return point_.zeta_logit[point_.effect_z[effect]]; };
  for (int d = 0; d < levels(); ++d) {
    const NestedLevel& level = layout_.levels[d];
    const int q = point_.effects(d);
    const auto node = static_cast<std::size_t>(level.node[position]);
    double *s = score[d] + node * q, *h = information[d] + node * (q * (q + 1) / 2);
    for (int a = point_.first[d]; a < point_.first[d + 1]; ++a) {
      *s++ += r[logit(a)][lane] * z(a);
      for (int c = point_.first[d]; c <= a; ++c)
        *h++ += w[packed(logit(a), logit(c))][lane] * z(a) * z(c);
    }
    if (d + 1 < levels())
      position = level.parent[position] + layout_.levels[d + 1].block[slot] * kLanes;
  }
}

// beta, Lambda and T at psi, and how far psi is from where the mode derivatives were taken.
void NestedData::move_to(const double* psi) {
  const auto size = static_cast<std::size_t>(point_.size());
  const int q = point_.q();
  point_.beta.assign(psi, psi + point_.p);
  point_.Lambda.assign(static_cast<std::size_t>(q) * q, 0.0);
  point_.T.assign(static_cast<std::size_t>(point_.zs()) * q, 0.0);
  for (int k = 0; k < point_.m(); ++k) {
    const int a = point_.theta_row[k], b = point_.theta_column[k];
    point_.Lambda[a * q + b] = psi[point_.p + k];
    point_.T[point_.effect_z[a] * q + b] += psi[point_.p + k];
  }
  point_.change.assign(size, 0.0);
  if (last_psi_.size() == size) {
    for (std::size_t k = 0; k < size; ++k) point_.change[k] = psi[k] - last_psi_[k];
  } else {
    const std::size_t most = std::clamp(layout_.tiles * (point_.columns + 3) * kLanes / 4,
                                        kFewDerivatives, kManyDerivatives);
    std::size_t vectors = 0;
    for (int d = 0; d < levels(); ++d)
      vectors += layout_.levels[d].blocks() * point_.effects(d) * size;
    for (int d = 0; d < levels(); ++d)
      modes_[d].derivatives.assign(
          vectors * kLanes <= most ? layout_.levels[d].blocks() * point_.effects(d) * size : 0,
          vd{});
  }
  last_psi_.assign(psi, psi + size);
}

NestedData::Result NestedData::evaluate(const double* psi, std::size_t threads) {
  move_to(psi);
  Result result = point_.nodes.empty() ? evaluate_laplace(threads) : evaluate_quadrature(threads);
  if (!result.modes_found) forget_modes();  // start afresh next time
  return result;
}

// eta = X beta + o
void NestedData::predict(std::size_t tile, const double* beta, vd* eta) const {
  const vd* x = &x_[tile * point_.columns];
  for (int c = 0; c < point_.logits; ++c) {
    vd sum = offset_.empty() ? vd{} : offset_[tile];
    for (int k = 0; k < point_.x_columns; ++k) sum += x[k] * *beta++;
    eta[c] = sum;
  }
}

void NestedData::open_rows(std::size_t slot, SlotRows& rows) const {
  const int C = point_.logits;
  rows.first = layout_.tile[slot];
  rows.tiles = layout_.tile[slot + 1] - rows.first;
  rows.eta0.resize(rows.tiles * C);
  rows.weight.resize(rows.tiles * packed_size(C));
  for (std::size_t i = 0; i < rows.tiles; ++i)
    predict(rows.first + i, point_.beta.data(), &rows.eta0[i * C]);
}

// X'diag(weight)X for every pair of logits.
void NestedData::add_gram_of(const SlotRows& rows, NestedTotals& totals) const {
  const int px = point_.x_columns, columns = point_.columns;
  for (int pair = 0; pair < packed_size(point_.logits); ++pair)
    for (std::size_t t = 0; t < rows.tiles; t += kChunkTiles)
      add_gram(&x_[(rows.first + t) * columns], columns, px, &rows.weight[pair * rows.tiles + t],
               std::min(kChunkTiles, rows.tiles - t), &totals.gram[pair * px * px], px);
}

NestedData::Result NestedData::add_up(const std::vector<NestedTotals>& slots) const {
  const int size = point_.size(), p = point_.p, px = point_.x_columns;
  Result result;
  result.gradient.resize(size);
  result.hessian.resize(static_cast<std::size_t>(size) * size);
  const auto add = [&](int k, int l, double x) {
    result.hessian[static_cast<std::size_t>(std::min(k, l)) * size + std::max(k, l)] += x;
  };
  for (const NestedTotals& slot : slots) {
    result.value += sum(slot.value);
    for (int k = 0; k < size; ++k) {
      result.gradient[k] += sum(slot.gradient[k]);
      for (int l = k; l < size; ++l)
        add(k, l, slot.hessian[k * size + l] + slot.cross[k * size + l] + slot.cross[l * size + k]);
    }
    for (int k = 0; k < p; ++k) {
      result.gradient[k] += slot.product[k];
      for (int l = k; l < p; ++l) {
        const auto [low, high] = std::minmax({k % px, l % px});
        add(k, l, slot.gram[(packed(k / px, l / px) * px + low) * px + high]);
      }
    }
    for (int i = 0; i < point_.m(); ++i)
      for (int k = 0; k < size; ++k) {
        const double x = sum(slot.pairs[static_cast<std::size_t>(i) * size + k]);
        add(k, p + i, k == p + i ? 2.0 * x : x);
      }
  }
  for (int k = 0; k < size; ++k)
    for (int l = 0; l < k; ++l) result.hessian[k * size + l] = result.hessian[l * size + k];
  return result;
}

}  // namespace multilogit
