#include "crossed_pattern.hpp"

#include <algorithm>
#include <numeric>

namespace multilogit {

std::optional<Lists> remainder_pattern(const CrossedLayout& layout, double most) {
  Lists pattern;
  std::vector<std::int32_t> seen(layout.blocks(), -1);
  double pairs = 0.0;
  for (std::size_t c = 0; c < layout.blocks(); ++c) {
    const std::int32_t k = layout.block_position[c];
    const int q = layout.effects[layout.block_factor[c]];
    const std::size_t begin = pattern.items.size();
    seen[c] = static_cast<std::int32_t>(c);
    pattern.items.push_back(static_cast<std::int32_t>(c));
    for (const auto* slot = layout.stripe_slots.begin(k); slot != layout.stripe_slots.end(k);
         ++slot) {
      const std::int32_t g = layout.slot_group[*slot];
      for (std::int64_t s = layout.group_slots[g]; s < layout.group_slots[g + 1]; ++s) {
        const std::int32_t d = layout.block[layout.slot_position[s]];
        if (seen[d] == static_cast<std::int32_t>(c)) continue;
        seen[d] = static_cast<std::int32_t>(c);
        pattern.items.push_back(d);
        pairs += static_cast<double>(q) * layout.effects[layout.block_factor[d]];
      }
    }
    if (pairs > most) return std::nullopt;
    std::sort(pattern.items.begin() + begin, pattern.items.end());
    pattern.first.push_back(static_cast<std::int64_t>(pattern.items.size()));
  }
  return pattern;
}

namespace {

// Blocks of the factor below the diagonal, in the order of elimination: those of the pattern, and
// those of the blocks whose first block below the diagonal this is.
class BlockFactor {
 public:
  BlockFactor(const CrossedLayout& layout, const Lists& pattern,
              const std::vector<std::int32_t>& rank)
      : pattern_(pattern),
        rank_(rank),
        block_(rank.size()),
        position_(rank.size()),
        width_(rank.size()),
        below_(rank.size()),
        children_(rank.size()),
        seen_(rank.size(), -1) {
    for (std::size_t c = 0; c < rank.size(); ++c) {
      block_[rank[c]] = static_cast<std::int32_t>(c);
      width_[rank[c]] = layout.effects[layout.block_factor[c]];
    }
    for (std::size_t c = 1; c < rank.size(); ++c) position_[c] = position_[c - 1] + width_[c - 1];
  }

  // Blocks below block c, of which all before have been asked for.
  const std::vector<std::int32_t>& find(std::int32_t c) {
    seen_[c] = c;
    for (const auto* d = pattern_.begin(block_[c]); d != pattern_.end(block_[c]); ++d)
      add(rank_[*d], c);
    for (const std::int32_t child : children_[c])
      for (const std::int32_t d : below_[child]) add(d, c);
    std::sort(below_[c].begin(), below_[c].end());
    if (!below_[c].empty()) children_[below_[c].front()].push_back(c);
    return below_[c];
  }

  // Its first effect and how many it has.
  std::int32_t position(std::int32_t c) const { return position_[c]; }
  int width(std::int32_t c) const { return width_[c]; }

 private:
  void add(std::int32_t d, std::int32_t c) {
    if (d <= c || seen_[d] == c) return;
    seen_[d] = c;
    below_[c].push_back(d);
  }

  const Lists& pattern_;
  const std::vector<std::int32_t>& rank_;
  std::vector<std::int32_t> block_, position_;
  std::vector<int> width_;
  std::vector<std::vector<std::int32_t>> below_, children_;
  std::vector<std::int32_t> seen_;
};

void list_rows(SparsePattern& out) {
  const std::size_t n = out.size();
  out.left.assign(n + 1, 0);
  for (std::size_t j = 0; j < n; ++j)
    for (std::int64_t p = out.first[j] + 1; p < out.first[j + 1]; ++p) ++out.left[out.row[p] + 1];
  std::partial_sum(out.left.begin(), out.left.end(), out.left.begin());
  out.left_column.resize(out.left.back());
  out.left_position.resize(out.left.back());
  std::vector<std::int64_t> next(out.left.begin(), out.left.end() - 1);
  for (std::size_t j = 0; j < n; ++j)
    for (std::int64_t p = out.first[j] + 1; p < out.first[j + 1]; ++p) {
      const std::int64_t at = next[out.row[p]]++;
      out.left_column[at] = static_cast<std::int32_t>(j);
      out.left_position[at] = p;
    }
}

}  // namespace

std::optional<SparsePattern> factor_pattern(const CrossedLayout& layout, const Lists& pattern,
                                            const std::vector<std::int32_t>& rank, double most,
                                            double most_nonzeros) {
  SparsePattern out;
  out.first = {0};
  BlockFactor blocks(layout, pattern, rank);
  for (std::int32_t c = 0; c < static_cast<std::int32_t>(layout.blocks()); ++c) {
    const std::vector<std::int32_t>& below = blocks.find(c);
    const int q = blocks.width(c);
    for (int e = 0; e < q; ++e) {
      for (int d = e; d < q; ++d) out.row.push_back(blocks.position(c) + d);
      for (const std::int32_t b : below)
        for (int d = 0; d < blocks.width(b); ++d) out.row.push_back(blocks.position(b) + d);
      const auto height =
          static_cast<double>(out.row.size()) - static_cast<double>(out.first.back());
      out.work += 0.5 * height * (height + 1.0);
      out.first.push_back(static_cast<std::int64_t>(out.row.size()));
    }
    if (out.work > most || static_cast<double>(out.row.size()) > most_nonzeros) return std::nullopt;
  }
  list_rows(out);
  return out;
}

}  // namespace multilogit
