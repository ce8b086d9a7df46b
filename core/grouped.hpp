// One grouping factor: the data in tiles, and their Laplace log marginal likelihood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "laplace.hpp"
#include "layout.hpp"
#include "quadrature.hpp"
#include "tiles.hpp"

namespace multilogit {

// What some units add up to, lanes reduced; the Hessian is an upper triangle.
struct SlotSum {
  double value = 0.0;
  std::vector<double> gradient, hessian;
  bool modes_found = true;

  SlotSum() = default;
  explicit SlotSum(int size) : gradient(size), hessian(static_cast<std::size_t>(size) * size) {}
};

class GroupedData {
 public:
  // columns: X, then those columns of Z that are not among them. Everything is copied into tiles.
  GroupedData(const std::vector<const double*>& columns, int p, const double* y, const double* n,
              const double* offset, const std::int32_t* codes, std::size_t rows,
              std::size_t groups);

  struct Result {
    double value = 0.0;
    std::vector<double> gradient;  // p + m
    std::vector<double> hessian;   // (p + m)^2, full
    bool modes_found = true;
    std::size_t inner_iterations = 0;
  };

  // Z and Lambda: column a of Z is column z[a] of the data; theta_k is Lambda[row[k], column[k]].
  // Modes start afresh at u = 0.
  void set_structure(std::vector<int> z, std::vector<int> row, std::vector<int> column);

  // Quadrature by these nodes (nodes x q, row-major) and log weights; none: Laplace.
  void set_nodes(std::vector<double> nodes, std::vector<double> log_weights);

  // l(psi), its gradient and Hessian at psi = (beta, theta), p + m numbers. The modes found are
  // where the next call starts from.
  Result evaluate(const double* psi, std::size_t threads);

  void set_response(const double* y, const double* n);
  // Z'r and Z'WZ of every group at b = 0: groups x q and groups x q (q + 1) / 2, packed.
  void moments(const double* beta, double* score, double* information);

  // u: groups x q, row-major; covariance of b: groups x q (q + 1) / 2, packed lower triangles.
  void set_modes(const double* u);
  void get_modes(double* u, double* covariance) const;
  std::size_t rows() const { return layout_.rows; }
  std::size_t groups() const { return layout_.order.size(); }
  int columns() const { return columns_; }
  int p() const { return p_; }
  int q() const { return point_.q; }
  int size() const { return point_.size(); }

  std::mutex busy;  // one call at a time: evaluations leave modes behind

 private:
  void fill_tiles(const double* const* columns, std::size_t count, vd* to) const;
  void move_to(const double* psi);
  Rows rows_of(const Unit& unit) const;
  template <int Q>
  Result evaluate_sized(std::size_t threads);
  template <template <int, class> class Kind, int Q>
  Result evaluate_units(std::size_t threads);
  template <class Worker>
  SlotSum sum_units(Worker& worker, std::size_t first, std::size_t last);

  Layout layout_;
  int columns_, p_;
  Tiles x_, y_, n_, offset_;
  Point point_;
  ModeStore modes_;
  std::vector<double> last_psi_;  // where the mode derivatives were taken; empty: nowhere
};

}  // namespace multilogit
