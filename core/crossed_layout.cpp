#include "crossed_layout.hpp"

#include <algorithm>
#include <numeric>

namespace multilogit {

namespace {

// Lists of the i with key[i] = 0, 1, ..., each ascending.
template <class Key>
Lists list_by(std::size_t keys, std::size_t count, const Key& key) {
  Lists lists;
  lists.first.assign(keys + 1, 0);
  for (std::size_t i = 0; i < count; ++i) ++lists.first[key(i) + 1];
  std::partial_sum(lists.first.begin(), lists.first.end(), lists.first.begin());
  std::vector<std::int64_t> next(lists.first.begin(), lists.first.end() - 1);
  lists.items.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    lists.items[next[key(i)]++] = static_cast<std::int32_t>(i);
  return lists;
}

}  // namespace

CrossedLayout::CrossedLayout(const std::vector<FactorCodes>& input, std::size_t n_rows)
    : rows(n_rows), factors(static_cast<int>(input.size())) {
  factor.resize(input.size());
  std::iota(factor.begin(), factor.end(), 0);
  const auto size = [&](int f) { return input[f].levels * input[f].effects; };
  const auto largest = std::max_element(factor.begin(), factor.end(),
                                        [&](int a, int b) { return size(a) < size(b); });
  std::rotate(factor.begin(), largest, largest + 1);
  first_effect = {0};
  for (const int f : factor) {
    effects.push_back(input[f].effects);
    levels.push_back(input[f].levels);
    first_effect.push_back(first_effect.back() + input[f].effects);
  }
  groups = levels[0];
  eliminated_effects = groups * effects[0];
  sort_rows(input[factor[0]]);
  codes_.resize(rows * (factors - 1));
  std::size_t first = 0;
  for (int f = 1; f < factors; ++f) {
    for (std::size_t i = 0; i < rows; ++i)
      codes_[i * (factors - 1) + f - 1] =
          static_cast<std::int32_t>(first) + input[factor[f]].codes[order[i]];
    for (std::size_t level = 0; level < levels[f]; ++level) {
      block_factor.push_back(f);
      block_level.push_back(static_cast<std::int32_t>(level));
    }
    first += levels[f];
  }
  block_position.resize(first);
  std::vector<std::int32_t> rank(first);
  std::iota(rank.begin(), rank.end(), 0);
  renumber(rank);
}

void CrossedLayout::sort_rows(const FactorCodes& by) {
  const Lists sorted = list_by(groups, rows, [&](std::size_t i) { return by.codes[i]; });
  order.assign(sorted.items.begin(), sorted.items.end());
  group_rows = sorted.first;
  variable.resize(rows * factors);
  for (std::size_t i = 0; i < rows; ++i) variable[i * factors] = by.codes[order[i]] * effects[0];
}

void CrossedLayout::renumber(const std::vector<std::int32_t>& rank) {
  number_effects(rank);
  find_slots();
  set_stripe(1);
  list_rows();
}

void CrossedLayout::number_effects(const std::vector<std::int32_t>& rank) {
  std::vector<std::int32_t> old_factor = block_factor, old_level = block_level;
  for (std::size_t c = 0; c < rank.size(); ++c) {
    block_factor[rank[c]] = old_factor[c];
    block_level[rank[c]] = old_level[c];
  }
  for (auto& c : codes_) c = rank[c];
  block.clear();
  for (std::size_t c = 0; c < blocks(); ++c) {
    block_position[c] = static_cast<std::int32_t>(block.size());
    block.insert(block.end(), effects[block_factor[c]], static_cast<std::int32_t>(c));
  }
  remainder = block.size();
  const int others = factors - 1;
  for (std::size_t i = 0; i < rows; ++i)
    for (int f = 0; f < others; ++f)
      variable[i * factors + f + 1] =
          static_cast<std::int32_t>(eliminated_effects) + block_position[codes_[i * others + f]];
}

void CrossedLayout::find_slots() {
  const int others = factors - 1;
  row_slot.resize(rows * others);
  slot_position.clear();
  slot_group.clear();
  group_slots = {0};
  pairs_ = 0.0;
  std::vector<std::int32_t> seen, slot_of(blocks());
  for (std::size_t g = 0; g < groups; ++g) {
    const std::int64_t begin = group_rows[g] * others, end = group_rows[g + 1] * others;
    seen.assign(codes_.begin() + begin, codes_.begin() + end);
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const std::int32_t c : seen) {
      slot_of[c] = static_cast<std::int32_t>(slot_position.size());
      for (int e = 0; e < effects[block_factor[c]]; ++e)
        slot_position.push_back(block_position[c] + e);
    }
    slot_group.resize(slot_position.size(), static_cast<std::int32_t>(g));
    const auto count = static_cast<double>(slot_position.size() - group_slots.back());
    pairs_ += 0.5 * count * (count + 1.0) * effects[0];
    group_slots.push_back(static_cast<std::int64_t>(slot_position.size()));
    for (std::int64_t j = begin; j < end; ++j) row_slot[j] = slot_of[codes_[j]];
  }
}

void CrossedLayout::set_stripe(std::size_t size) {
  stripe = size;
  stripe_slots =
      list_by(stripes(), slots(), [&](std::size_t s) { return slot_position[s] / stripe; });
}

void CrossedLayout::list_rows() {
  const int others = factors - 1;
  Lists pairs = list_by(blocks(), codes_.size(), [&](std::size_t j) { return codes_[j]; });
  for (auto& j : pairs.items) j /= others;  // the row
  block_rows = std::move(pairs);
}

}  // namespace multilogit
