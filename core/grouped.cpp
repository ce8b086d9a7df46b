#include "grouped.hpp"

#include <algorithm>

#include "binomial_rows.hpp"
#include "grouped_units.hpp"

namespace multilogit {

namespace {

// Mode derivatives are kept while they are at most this many (40 MB).
constexpr std::size_t kMostDerivatives = 10'000'000;

}  // namespace

GroupedData::GroupedData(const Columns& data, const std::int32_t* codes, std::size_t rows,
                         std::size_t groups, const std::string& scratch, std::size_t threads)
    : layout_(codes, rows, groups),
      categorical_(data.categorical),
      x_(layout_.tiles * data.columns.size(), scratch),
      offset_(data.offset ? layout_.tiles : 0, scratch),
      response_(layout_, {data.counts, data.trials}, threads, scratch) {
  point_.logits = static_cast<int>(data.counts.size());
  point_.x_columns = data.x_columns;
  point_.columns = static_cast<int>(data.columns.size());
  point_.p = point_.logits * point_.x_columns;
  fill_tiles(layout_.row, data.columns.data(), data.columns.size(), x_.data(), threads);
  if (data.offset) fill_tiles(layout_.row, &data.offset, 1, offset_.data(), threads);
  if (!scratch.empty()) layout_.row = {};  // memory is scarce
}

void GroupedData::set_response(const std::vector<const double*>& counts, const double* trials) {
  response_ = ResponseTiles(layout_, {counts, trials}, 1);
}

void GroupedData::set_structure(std::vector<int> z, std::vector<int> logit, std::vector<int> row,
                                std::vector<int> column) {
  point_.q = static_cast<int>(z.size());
  point_.z.clear();
  for (std::size_t a = 0; a < z.size(); ++a) point_.z.push_back(point_.regressor(logit[a], z[a]));
  point_.z_column = std::move(z);
  point_.z_logit = std::move(logit);
  point_.theta_row = std::move(row);
  point_.theta_column = std::move(column);
  set_modes(nullptr);
}

void GroupedData::set_nodes(std::vector<double> nodes, std::vector<double> log_weights) {
  point_.nodes = std::move(nodes);
  point_.log_weights = std::move(log_weights);
}

void GroupedData::set_modes(const double* u) {
  const int q = point_.q;
  modes_.groups = groups();
  modes_.u.assign(groups() * q, 0.0);
  modes_.derivatives.clear();
  modes_.covariance.assign(groups() * q * (q + 1) / 2, 0.0);
  last_psi_.clear();
  if (u == nullptr) return;
  for (std::size_t g = 0; g < groups(); ++g)
    for (int a = 0; a < q; ++a) modes_.u[a * groups() + g] = u[layout_.order[g] * q + a];
}

void GroupedData::get_modes(double* u, double* covariance) const {
  const int q = point_.q, s = q * (q + 1) / 2;
  for (std::size_t g = 0; g < groups(); ++g) {
    for (int a = 0; a < q; ++a) u[layout_.order[g] * q + a] = modes_.u[a * groups() + g];
    for (int c = 0; c < s; ++c)
      covariance[layout_.order[g] * s + c] = modes_.covariance[c * groups() + g];
  }
}

std::size_t GroupedData::bytes() const { return x_.bytes() + offset_.bytes() + response_.bytes(); }

void GroupedData::release() const {
  for (const Tiles* tiles : {&x_, &offset_}) tiles->release();
  response_.release();
}

void GroupedData::prefetch() const {
  for (const Tiles* tiles : {&x_, &offset_}) tiles->prefetch();
  response_.prefetch();
}

RowTiles GroupedData::rows_of(const Unit& unit, std::vector<vd>& room) const {
  const ResponseTiles::View response = response_.of(unit.tile, unit.tiles, room);
  return {&x_[unit.tile * point_.columns],
          response.y,
          response.n,
          offset_.empty() ? nullptr : &offset_[unit.tile],
          unit.tiles,
          unit.groups_in_lanes,
          response.single_trials};
}

void GroupedData::moments(const double* beta, double* score, double* information) {
  point_.beta.assign(beta, beta + point_.p);
  if (categorical_)
    moments_categorical(score, information);
  else
    moments_of_units<LaplaceUnit<0, BinomialRows>>(score, information);
}

// beta and Lambda at psi, and how far psi is from where the mode derivatives were taken.
void GroupedData::move_to(const double* psi) {
  const auto size = static_cast<std::size_t>(point_.size());
  const int p = point_.p;
  point_.beta.assign(psi, psi + p);
  point_.Lambda.assign(static_cast<std::size_t>(point_.q) * point_.q, 0.0);
  for (int k = 0; k < point_.m(); ++k)
    point_.Lambda[point_.theta_row[k] * point_.q + point_.theta_column[k]] = psi[p + k];
  point_.change.assign(size, 0.0);
  if (last_psi_.size() == size) {
    for (std::size_t k = 0; k < size; ++k) point_.change[k] = psi[k] - last_psi_[k];
  } else {
    const std::size_t derivatives = groups() * point_.q * size;
    modes_.derivatives.assign(derivatives <= kMostDerivatives ? derivatives : 0, 0.0F);
  }
  last_psi_.assign(psi, psi + size);
}

GroupedData::Result GroupedData::evaluate(const double* psi, std::size_t threads) {
  move_to(psi);
  Result result = categorical_ ? evaluate_categorical(threads) : evaluate_binomial(threads);
  if (!result.modes_found) set_modes(nullptr);  // start afresh next time
  return result;
}

GroupedData::Result GroupedData::evaluate_binomial(std::size_t threads) {
  if constexpr (kSizedUnits) {
    if (point_.q == 1) return evaluate_effects<BinomialRows, 1>(threads);
    if (point_.q == 2) return evaluate_effects<BinomialRows, 2>(threads);
    if (point_.q == 3) return evaluate_effects<BinomialRows, 3>(threads);
  }
  return evaluate_effects<BinomialRows, 0>(threads);
}

}  // namespace multilogit
