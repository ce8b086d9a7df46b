// Rows and nodes of a tree of groups: leaves in parents, parents in theirs, up to the roots.
//
// Whole trees make up slots, which are independent of one another. Within a slot the nodes of a
// level stand side by side in blocks, one node per lane. Leaves are sorted by size: those of up to
// kSmallGroup rows have their rows in their own lane of the block's tiles; the rows of a larger
// leaf fill the lanes of tiles of its own. Lanes without a node or row count for nothing: there
// are no trials there.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "layout.hpp"
#include "simd.hpp"

namespace multilogit {

// The tiles of up to kLanes leaves: tile[0] .. tile[1] - 1 of all, or, if they are large,
// tile[j] .. tile[j + 1] - 1 of leaf j.
struct LeafBlock {
  bool groups_in_lanes = true;
  int leaves = 0;
  std::array<std::size_t, kLanes + 1> tile{};
};

constexpr std::int32_t kNoNode = -1;

// The nodes of one level. Position i is lane i % kLanes of block i / kLanes.
struct NestedLevel {
  std::vector<std::int32_t> node;    // position -> node of the data, or kNoNode
  std::vector<std::int32_t> parent;  // position -> position in the next level, within the slot
  std::vector<std::size_t> block;    // blocks block[s] .. block[s + 1] - 1 are those of slot s
  std::size_t nodes = 0;

  std::size_t blocks() const { return block.back(); }
};

struct NestedLayout {
  std::vector<NestedLevel> levels;  // leaves first
  std::vector<LeafBlock> leaves;    // of every block of the first level
  std::vector<std::size_t> tile;    // tiles tile[s] .. tile[s + 1] - 1 are those of slot s
  std::vector<RowIndex> row;        // lane j of tile t holds row row[t * kLanes + j], or kNoRow
  std::size_t rows, tiles = 0;

  std::size_t slots() const { return tile.size() - 1; }

  // codes[d]: the node of each row at level d, leaves first; nodes[d]: how many there are.
  NestedLayout(const std::vector<const std::int32_t*>& codes, std::size_t n_rows,
               const std::vector<std::size_t>& nodes)
      : levels(nodes.size()), rows(n_rows) {
    const std::size_t depth = nodes.size();
    Codes parent(depth), slot(depth);
    for (std::size_t d = 0; d < depth; ++d) {
      levels[d].nodes = nodes[d];
      if (d + 1 < depth) parent[d] = find_parents(codes[d], codes[d + 1], nodes[d]);
    }
    std::vector<std::size_t> size(nodes[0]);
    for (std::size_t i = 0; i < rows; ++i) ++size[codes[0][i]];
    const std::size_t n_slots = assign_slots(size, parent, slot);
    for (std::size_t d = 1; d < depth; ++d) place_nodes(slot[d], n_slots, levels[d]);
    place_leaves(size, slot[0], n_slots);
    for (std::size_t d = 0; d + 1 < depth; ++d) link(d, parent[d]);
    place_rows(codes[0]);
  }

 private:
  using Codes = std::vector<std::vector<std::int32_t>>;

  std::vector<std::int32_t> find_parents(const std::int32_t* lower, const std::int32_t* upper,
                                         std::size_t nodes) const {
    std::vector<std::int32_t> parent(nodes, kNoNode);
    for (std::size_t i = 0; i < rows; ++i) {
      std::int32_t& known = parent[lower[i]];
      if (known != kNoNode && known != upper[i])
        throw std::invalid_argument("every level must be nested in the next one");
      known = upper[i];
    }
    for (std::int32_t& node : parent)
      if (node == kNoNode) node = 0;  // without rows: anywhere
    return parent;
  }

  // Slots of whole trees, of at least about 512 tiles, 64 at the most; returns how many.
  std::size_t assign_slots(const std::vector<std::size_t>& size, const Codes& parent,
                           Codes& slot) const {
    const std::size_t depth = levels.size();
    std::vector<std::size_t> below(size);
    for (std::size_t d = 0; d + 1 < depth; ++d) {
      std::vector<std::size_t> above(levels[d + 1].nodes);
      for (std::size_t g = 0; g < below.size(); ++g) above[parent[d][g]] += below[g];
      below = std::move(above);
    }
    const std::size_t wanted = std::clamp<std::size_t>(rows / (512 * kLanes), 1, 64);
    std::size_t filled = 0, slots = 0;
    bool is_open = false;
    slot[depth - 1].resize(below.size());
    for (std::size_t root = 0; root < below.size(); ++root) {
      if (!is_open) ++slots;
      slot[depth - 1][root] = static_cast<std::int32_t>(slots - 1);
      filled += below[root];
      is_open = filled * wanted < rows * slots;
    }
    for (std::size_t d = depth - 1; d-- > 0;) {
      slot[d].resize(levels[d].nodes);
      for (std::size_t g = 0; g < slot[d].size(); ++g) slot[d][g] = slot[d + 1][parent[d][g]];
    }
    return slots;
  }

  // Nodes in order of slot, each slot's in blocks of its own.
  static void place_nodes(const std::vector<std::int32_t>& slot, std::size_t slots,
                          NestedLevel& level) {
    std::vector<std::size_t> count(slots);
    for (const std::int32_t s : slot) ++count[s];
    level.block = {0};
    std::vector<std::size_t> next(slots);
    for (std::size_t s = 0; s < slots; ++s) {
      next[s] = level.block[s] * kLanes;
      level.block.push_back(level.block[s] + (count[s] + kLanes - 1) / kLanes);
    }
    level.node.assign(level.blocks() * kLanes, kNoNode);
    for (std::size_t g = 0; g < slot.size(); ++g)
      level.node[next[slot[g]]++] = static_cast<std::int32_t>(g);
  }

  void place_leaves(const std::vector<std::size_t>& size, const std::vector<std::int32_t>& slot,
                    std::size_t slots) {
    const std::vector<std::int32_t> sorted = sort_leaves(size, slot, slots);
    levels[0].block = {0};
    tile = {0};
    std::size_t i = 0;
    for (std::size_t s = 0; s < slots; ++s) {
      while (i < sorted.size() && slot[sorted[i]] == static_cast<std::int32_t>(s)) {
        LeafBlock block;
        block.tile[0] = tiles;
        block.groups_in_lanes = size[sorted[i]] <= kSmallGroup;
        for (; block.leaves < kLanes && i < sorted.size(); ++i) {
          const std::int32_t leaf = sorted[i];
          if (slot[leaf] != static_cast<std::int32_t>(s) ||
              (size[leaf] <= kSmallGroup) != block.groups_in_lanes)
            break;
          if (block.groups_in_lanes)
            tiles = block.tile[1] = block.tile[0] + size[leaf];  // ascending: the last is largest
          else
            tiles = block.tile[block.leaves + 1] = tiles + (size[leaf] + kLanes - 1) / kLanes;
          levels[0].node.push_back(leaf);
          ++block.leaves;
        }
        leaves.push_back(block);
        levels[0].node.resize(leaves.size() * kLanes, kNoNode);
      }
      levels[0].block.push_back(leaves.size());
      tile.push_back(tiles);
    }
  }

  // By slot, then by size; large ones in any order.
  static std::vector<std::int32_t> sort_leaves(const std::vector<std::size_t>& size,
                                               const std::vector<std::int32_t>& slot,
                                               std::size_t slots) {
    constexpr std::size_t kSizes = kSmallGroup + 2;
    const auto key = [&](std::size_t leaf) {
      return slot[leaf] * kSizes + std::min(size[leaf], kSmallGroup + 1);
    };
    std::vector<std::size_t> first(slots * kSizes + 1);
    for (std::size_t leaf = 0; leaf < size.size(); ++leaf) ++first[key(leaf) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<std::int32_t> sorted(size.size());
    for (std::size_t leaf = 0; leaf < size.size(); ++leaf)
      sorted[first[key(leaf)]++] = static_cast<std::int32_t>(leaf);
    return sorted;
  }

  // Positions of parents within the slot; lanes without a node point to the first one.
  void link(std::size_t d, const std::vector<std::int32_t>& parent) {
    NestedLevel &level = levels[d], &above = levels[d + 1];
    std::vector<std::size_t> position(above.nodes);
    for (std::size_t i = 0; i < above.node.size(); ++i)
      if (above.node[i] != kNoNode) position[above.node[i]] = i;
    level.parent.assign(level.node.size(), 0);
    for (std::size_t s = 0; s < slots(); ++s)
      for (std::size_t i = level.block[s] * kLanes; i < level.block[s + 1] * kLanes; ++i)
        if (level.node[i] != kNoNode)
          level.parent[i] =
              static_cast<std::int32_t>(position[parent[level.node[i]]] - above.block[s] * kLanes);
  }

  void place_rows(const std::int32_t* codes) {
    std::vector<std::size_t> next(levels[0].nodes), stride(levels[0].nodes, 1);
    for (std::size_t b = 0; b < leaves.size(); ++b)
      for (int lane = 0; lane < leaves[b].leaves; ++lane) {
        const std::int32_t leaf = levels[0].node[b * kLanes + lane];
        next[leaf] = leaves[b].groups_in_lanes ? leaves[b].tile[0] * kLanes + lane
                                               : leaves[b].tile[lane] * kLanes;
        if (leaves[b].groups_in_lanes) stride[leaf] = kLanes;
      }
    row.assign(tiles * kLanes, kNoRow);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::int32_t leaf = codes[i];
      row[next[leaf]] = static_cast<RowIndex>(i);
      next[leaf] += stride[leaf];
    }
  }
};

}  // namespace multilogit
