#include "cholesky.hpp"

#include <Eigen/Cholesky>

namespace multilogit {

bool solve_positive(const double* A, const double* b, std::size_t n, double* x, double* pivots) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto size = static_cast<Eigen::Index>(n);
  const Eigen::LLT<Matrix, Eigen::Lower> llt(Eigen::Map<const Matrix>(A, size, size));
  if (llt.info() != Eigen::Success) return false;
  Eigen::Map<Eigen::VectorXd> solution(x, size);
  solution = llt.solve(Eigen::Map<const Eigen::VectorXd>(b, size));
  Eigen::Map<Eigen::VectorXd>(pivots, size) = llt.matrixLLT().diagonal().array().square();
  return true;
}

}  // namespace multilogit
