// How the remainder of a crossed model is kept, and what memory that takes.
#pragma once

#include <cstddef>

#include "crossed_layout.hpp"
#include "crossed_pattern.hpp"

namespace multilogit {

enum class Keep { best, dense, sparse };

struct CrossedPlan {
  bool sparse = false;
  bool filled = false;    // groups meet so much of the remainder that dense products are faster
  SparsePattern pattern;  // where sparse
  double bytes = 0.0;     // of everything, the largest at any time
};

// The best is dense while that is faster, unless it does not fit into `memory` bytes and a sparse
// factor does. Where sparse, the layout is renumbered. x: columns of X; C: logits.
CrossedPlan plan_crossed(CrossedLayout& layout, int x, int C, double memory, Keep keep);

}  // namespace multilogit
