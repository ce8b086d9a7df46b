// The only unit that sees Eigen: its minimum degree ordering.
#include <Eigen/OrderingMethods>
#include <Eigen/SparseCore>

#include "crossed_pattern.hpp"

namespace multilogit {

std::vector<std::int32_t> minimum_degree_rank(const Lists& pattern) {
  const auto n = static_cast<int>(pattern.first.size() - 1);
  std::vector<int> first(pattern.first.begin(), pattern.first.end());
  std::vector<char> present(pattern.items.size());
  using Pattern = Eigen::SparseMatrix<char, Eigen::ColMajor, int>;
  const Eigen::Map<const Pattern> matrix(n, n, static_cast<int>(present.size()), first.data(),
                                         pattern.items.data(), present.data());
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> order;
  Eigen::AMDOrdering<int>()(Pattern(matrix), order);
  std::vector<std::int32_t> rank(n);
  for (int k = 0; k < n; ++k) rank[order.indices()[k]] = k;
  return rank;
}

}  // namespace multilogit
