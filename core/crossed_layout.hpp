// Crossed grouping factors: which row belongs to which level of which factor, sorted by the factor
// that is eliminated, and what must be summed to get any one column of the remainder.
//
// Random effects are numbered: first those of the eliminated factor, level by level (group g has
// effects g q_E .. (g + 1) q_E - 1), then the others, in the order in which the remainder is
// factored. A *slot* is a pair of a group and an effect of the remainder that occur in one row: the
// places where H_gR is not zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace multilogit {

// Lists of integers, one after the other: list i is items[first[i]] .. items[first[i + 1] - 1].
struct Lists {
  std::vector<std::int64_t> first{0};
  std::vector<std::int32_t> items;

  const std::int32_t* begin(std::size_t i) const { return items.data() + first[i]; }
  const std::int32_t* end(std::size_t i) const { return items.data() + first[i + 1]; }
};

struct FactorCodes {
  const std::int32_t* codes;  // rows
  std::size_t levels;
  int effects;  // per level
};

struct CrossedLayout {
  std::size_t rows = 0, groups = 0;
  int factors = 0;
  std::size_t eliminated_effects = 0, remainder = 0;  // n_E, n_R
  std::vector<int> factor;                            // [0]: the eliminated one, then the others
  std::vector<int> effects;                           // per level, in that order
  std::vector<int> first_effect;                      // where a factor's effects start in a row's
  std::vector<std::size_t> levels;

  std::vector<std::int64_t> order;          // row i here is row order[i] of the data
  std::vector<std::int64_t> group_rows;     // rows of group g: group_rows[g] ..
  std::vector<std::int64_t> group_slots;    // its slots: group_slots[g] ..
  std::vector<std::int32_t> variable;       // rows x factors: first effect of the row's level
  std::vector<std::int32_t> row_slot;       // rows x (factors - 1): first slot
  std::vector<std::int32_t> slot_position;  // effect of the remainder, ascending within a group
  std::vector<std::int32_t> slot_group;
  std::vector<std::int32_t> block;           // of each effect of the remainder: its level
  std::vector<std::int32_t> block_position;  // first effect of the level
  std::vector<std::int32_t> block_factor;    // 1 .. factors - 1
  std::vector<std::int32_t> block_level;
  std::size_t stripe = 1;  // effects of the remainder whose slots are gone through together
  Lists stripe_slots;      // slots of each stripe, by group
  Lists block_rows;        // rows of each level, ascending

  CrossedLayout(const std::vector<FactorCodes>& input, std::size_t n_rows);

  // Let block c come rank[c]-th from now on.
  void renumber(const std::vector<std::int32_t>& rank);
  // Let so many effects make a stripe.
  void set_stripe(std::size_t size);

  std::size_t blocks() const { return block_position.size(); }
  std::size_t slots() const { return slot_position.size(); }
  std::size_t stripes() const { return (remainder + stripe - 1) / stripe; }
  // Multiply-adds that make S: pairs of slots in a group.
  double pairs() const { return pairs_; }
  std::size_t variables() const { return eliminated_effects + remainder; }
  // Which of a row's effects an effect of the remainder is.
  int effect(std::int32_t position) const {
    const std::int32_t c = block[position];
    return first_effect[block_factor[c]] + position - block_position[c];
  }

 private:
  void sort_rows(const FactorCodes& by);
  void number_effects(const std::vector<std::int32_t>& rank);
  void find_slots();
  void list_rows();
  double pairs_ = 0.0;
  std::vector<std::int32_t> codes_;  // rows x (factors - 1): block before renumbering
};

}  // namespace multilogit
