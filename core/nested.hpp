// Nested grouping factors: the data in tiles, and their Laplace log marginal likelihood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "nested_forest.hpp"
#include "nested_layout.hpp"
#include "nested_point.hpp"
#include "nested_rows.hpp"
#include "tiles.hpp"

namespace multilogit {

// What a thread needs to evaluate slots, kept between evaluations.
struct NestedWorker {
  SlotRows rows;
  virtual ~NestedWorker() = default;
};

class NestedData {
 public:
  // columns: X (x_columns of them), then those columns of Z that are not among them. y: successes,
  // or, if the response is categorical, the counts of every category but the baseline. codes and
  // groups: level by level, from the leaves to the roots. Everything is copied into tiles; scratch:
  // the directory of files for them, or empty. Throws std::invalid_argument when a level is not
  // nested in the next one.
  NestedData(const std::vector<const double*>& columns, int x_columns, bool categorical,
             const std::vector<const double*>& y, const double* n, const double* offset,
             const std::vector<const std::int32_t*>& codes, std::size_t rows,
             const std::vector<std::size_t>& groups, const std::string& scratch = "");

  struct Result {
    double value = 0.0;
    std::vector<double> gradient;  // p + m
    std::vector<double> hessian;   // (p + m)^2, full
    bool modes_found = true;
    std::size_t inner_iterations = 0;
  };

  // Level d has effects[d] effects; effect a, counted through the levels, has column z[a] of the
  // data and belongs to logit logits[a]; theta_k is Lambda[row[k], column[k]], level by level.
  // Modes start afresh at u = 0.
  void set_structure(const std::vector<int>& z, const std::vector<int>& logits,
                     const std::vector<int>& effects, std::vector<int> row,
                     std::vector<int> column);

  // Quadrature by these nodes, level by level; none: Laplace.
  void set_nodes(std::vector<NodeRule> nodes);

  // l(psi), its gradient and Hessian at psi = (beta, theta), p + m numbers. The modes found are
  // where the next call starts from.
  Result evaluate(const double* psi, std::size_t threads);

  void set_response(const std::vector<const double*>& y, const double* n);
  // Z'r and Z'WZ of every node of level d at b = 0: nodes x q_d, nodes x q_d (q_d + 1) / 2, packed.
  void moments(const double* beta, const std::vector<double*>& score,
               const std::vector<double*>& information) const;

  // Of level d. u: nodes x q_d, row-major; covariance of b: nodes x q_d (q_d + 1) / 2, packed.
  void set_modes(int d, const double* u);
  void get_modes(int d, double* u, double* covariance) const;

  std::size_t rows() const { return layout_.rows; }
  std::size_t bytes() const;        // of the tiles
  std::size_t most_leaves() const;  // that are looked at together: those of whole trees
  void release();                   // tiles in files take no memory until they are used again
  void prefetch() const;            // they are needed soon
  int levels() const { return static_cast<int>(layout_.levels.size()); }
  std::size_t groups(int d) const { return layout_.levels[d].nodes; }
  int columns() const { return point_.columns; }
  int logits() const { return point_.logits; }
  int p() const { return point_.p; }
  int q() const { return point_.q(); }
  int effects(int d) const { return point_.effects(d); }
  int size() const { return point_.size(); }

  std::mutex busy;  // one call at a time: evaluations leave modes behind

 private:
  NestedTiles tiles() const;
  void predict(std::size_t tile, const double* beta, vd* eta) const;
  void add_moments(std::size_t slot, std::size_t position, std::size_t tile, int lane, const vd* r,
                   const vd* w, const std::vector<double*>& score,
                   const std::vector<double*>& information) const;
  void move_to(const double* psi);
  void forget_modes();
  void forget_derivatives();
  Result evaluate_laplace(std::size_t threads);
  Result evaluate_quadrature(std::size_t threads);
  template <class Kind>
  Result evaluate_with(std::size_t threads);
  void open_rows(std::size_t slot, SlotRows& rows) const;
  void add_gram_of(const SlotRows& rows, NestedTotals& totals) const;
  Result add_up(const std::vector<NestedTotals>& slots) const;

  NestedLayout layout_;
  NestedPoint point_;
  Tiles x_, y_, n_, offset_;
  bool single_trials_ = false;
  std::vector<NestedModes> modes_;                      // by level
  std::vector<std::unique_ptr<NestedWorker>> workers_;  // by thread, of one kind
  std::vector<double> last_psi_;  // where the mode derivatives were taken; empty: nowhere
};

}  // namespace multilogit
