// All slots of a nested model, by the kind of approximation.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "nested.hpp"
#include "parallel.hpp"

namespace multilogit {

template <class Kind>
NestedData::Result NestedData::evaluate_with(std::size_t threads) {
  struct Worker : NestedWorker {
    Kind trees;
    explicit Worker(const NestedProblem& problem) : trees(problem) {}
  };
  const std::size_t slots = layout_.slots();
  threads = std::max<std::size_t>(1, std::min(threads, slots));
  // Kept where all goes well: others may not have finished what they had begun to add up.
  std::vector<std::unique_ptr<NestedWorker>> workers = std::exchange(workers_, {});
  if (workers.size() < threads) workers.resize(threads);
  std::vector<NestedTotals> totals(slots, NestedTotals(point_));
  std::vector<char> found(slots);
  const NestedProblem problem{point_, layout_, tiles()};
  for_each_slot(slots, threads, [&](std::size_t w, std::size_t slot) {
    if (!workers[w]) workers[w] = std::make_unique<Worker>(problem);
    auto& worker = static_cast<Worker&>(*workers[w]);
    open_rows(slot, worker.rows);
    found[slot] = worker.trees.evaluate(slot, worker.rows, modes_, totals[slot]);
    if (found[slot]) add_gram_of(worker.rows, totals[slot]);
  });
  Result result;
  if (std::all_of(found.begin(), found.end(), [](char f) { return f != 0; }))
    result = add_up(totals);
  else
    result.modes_found = false;
  result.gradient.resize(point_.size());
  result.hessian.resize(static_cast<std::size_t>(point_.size()) * point_.size());
  for (const auto& worker : workers)
    if (worker) result.inner_iterations += static_cast<Worker&>(*worker).trees.take_iterations();
  if (result.modes_found) workers_ = std::move(workers);
  return result;
}

}  // namespace multilogit
