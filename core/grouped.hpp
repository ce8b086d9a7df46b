// One grouping factor: the data in tiles, and their log marginal likelihood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "group_unit.hpp"
#include "layout.hpp"
#include "response_tiles.hpp"
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
  // What the rows are: columns holds X, then those columns of Z that are not among them; counts
  // those of the categories but the baseline (categorical), or the successes.
  struct Columns {
    std::vector<const double*> columns;
    int x_columns = 0;
    std::vector<const double*> counts;
    const double* trials = nullptr;
    const double* offset = nullptr;  // null: 0; the same for every logit
    bool categorical = false;
  };

  // Everything is copied into tiles; scratch: the directory of files for them, or empty.
  GroupedData(const Columns& data, const std::int32_t* codes, std::size_t rows, std::size_t groups,
              const std::string& scratch = "", std::size_t threads = 1);

  struct Result {
    double value = 0.0;
    std::vector<double> gradient;  // p + m
    std::vector<double> hessian;   // (p + m)^2, full
    bool modes_found = true;
    std::size_t inner_iterations = 0;
  };

  // Z and Lambda: effect a has column z[a] of the data and logit logit[a]; theta_k is
  // Lambda[row[k], column[k]]. Modes start afresh at u = 0.
  void set_structure(std::vector<int> z, std::vector<int> logit, std::vector<int> row,
                     std::vector<int> column);

  // Quadrature by these nodes (nodes x q, row-major) and log weights; none: Laplace.
  void set_nodes(std::vector<double> nodes, std::vector<double> log_weights);

  // l(psi), its gradient and Hessian at psi = (beta, theta), p + m numbers. The modes found are
  // where the next call starts from.
  Result evaluate(const double* psi, std::size_t threads);

  // Not for tiles in files, which do not know their rows any more.
  void set_response(const std::vector<const double*>& counts, const double* trials);
  bool knows_rows() const { return layout_.row.size() == layout_.tiles * kLanes; }
  // Z'r and Z'WZ of every group at b = 0: groups x q and groups x q (q + 1) / 2, packed.
  void moments(const double* beta, double* score, double* information);

  // u: groups x q, row-major; covariance of b: groups x q (q + 1) / 2, packed lower triangles.
  void set_modes(const double* u);
  void get_modes(double* u, double* covariance) const;
  std::size_t rows() const { return layout_.rows; }
  std::size_t bytes() const;  // of the tiles
  void release() const;       // tiles in files take no memory until they are used again
  void prefetch() const;      // they are needed soon
  std::size_t groups() const { return layout_.order.size(); }
  int columns() const { return point_.columns; }
  int logits() const { return point_.logits; }
  int p() const { return point_.p; }
  int q() const { return point_.q; }
  int size() const { return point_.size(); }

  std::mutex busy;  // one call at a time: evaluations leave modes behind

 private:
  void move_to(const double* psi);
  RowTiles rows_of(const Unit& unit, std::vector<vd>& room) const;
  // The units of one kind of response: grouped_units.hpp, instantiated in grouped.cpp and
  // grouped_categorical.cpp.
  Result evaluate_binomial(std::size_t threads);
  Result evaluate_categorical(std::size_t threads);
  void moments_categorical(double* score, double* information);
  template <template <int> class Response, int Q>
  Result evaluate_effects(std::size_t threads);
  template <class Kernel>
  Result evaluate_units(std::size_t threads);
  template <class Kernel>
  SlotSum sum_units(Kernel& kernel, std::size_t first, std::size_t last);
  template <class Kernel>
  void moments_of_units(double* score, double* information);

  Layout layout_;
  bool categorical_;
  Tiles x_, offset_;
  ResponseTiles response_;
  Point point_;
  ModeStore modes_;
  std::vector<double> last_psi_;  // where the mode derivatives were taken; empty: nowhere
};

}  // namespace multilogit
