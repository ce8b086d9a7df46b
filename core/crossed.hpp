// Crossed grouping factors: the Laplace log marginal likelihood of
//
//   eta = X beta + o + sum_f Z_f b_f,   b_fl = Lambda_f u_fl,   u_fl ~ N(0, I)
//
// by blocks (docs/mathematics.md, section 8): the factor with the most effects is eliminated level
// by level, and what remains is factored as a whole.
//
//   H = I + A'WA = [H_gg, H_gR; H_Rg, H_RR],   K_g = H_gg^-1 H_gR,   S = H_RR - sum_g H_Rg K_g
//   l(psi) = f(u^) - (sum_g log|H_gg| + log|S|) / 2
//
// Of H^-1 only the blocks of effects that meet in a row are needed:
//
//   (H^-1)_RR = S^-1,   (H^-1)_gR = -K_g S^-1,   (H^-1)_gg = H_gg^-1 + K_g S^-1 K_g'
//
// A categorical response has C logits in a row (core/categorical.hpp), a binomial one C = 1: A_i is
// C x q, W_i C x C; w3 d becomes kappa3(., ., d), w3 h the vector t = kappa3(., V_i) with V_i = A_i
// H^-1 A_i'. All that depends on the kind of response is in crossed_rows.hpp.
//
// Derivatives by all parameters are computed side by side, a parameter in each lane: theta first,
// then beta; one more lane is for v = H^-1 A'(w3 h), whose A v takes the place of d eta.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "crossed_layout.hpp"
#include "crossed_plan.hpp"
#include "crossed_remainder.hpp"
#include "crossed_sizes.hpp"
#include "packed.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace multilogit {

// Consecutive ranges of about equal work: range s is first[s] .. first[s + 1] - 1.
struct Ranges {
  std::vector<std::size_t> first{0};
  std::size_t count() const { return first.size() - 1; }
};

// Columns of the data.
struct CrossedColumns {
  std::vector<const double*> x, z;
  std::vector<int> logit;             // of each column of Z
  std::vector<const double*> counts;  // successes, or a column for every logit
  const double* trials = nullptr;
  const double* offset = nullptr;  // null when there is none
  bool categorical = false;
};

class CrossedData {
 public:
  // Everything is copied. A remainder that is kept dense for speed is kept sparse if else `memory`
  // bytes would not do; whether they do says `bytes`, before anything large is allocated.
  CrossedData(const CrossedColumns& data, const std::vector<FactorCodes>& factors, std::size_t rows,
              double memory, Keep keep);

  struct Result {
    double value = 0.0;
    std::vector<double> gradient;  // p + m
    std::vector<double> hessian;   // (p + m)^2, full
    bool modes_found = true;
    bool exact = true;  // whether the Hessian is complete
    std::size_t inner_iterations = 0;
  };

  // Effect a is column z[a] of Z; theta_k is Lambda[row[k], column[k]]. Modes start at u = 0.
  void set_structure(const std::vector<int>& z, const std::vector<int>& row,
                     const std::vector<int>& column);
  // The same, but the modes become turn u (q x q, a block per factor).
  void turn(const std::vector<int>& z, const double* turn);
  void set_response(const std::vector<const double*>& counts, const double* trials);

  // l(psi), its gradient and Hessian at psi = (beta, theta). Unless `full`, or where it costs
  // little, the remainder's part of tr(H^-1 H_k H^-1 H_l) is in the Hessian for pairs of thetas
  // alone.
  Result evaluate(const double* psi, bool full, std::size_t threads);
  // What the next term of the expansion adds to l(psi); the modes stay where they are found.
  double correction(const double* psi, std::size_t threads);

  // Of factor f: u, levels x q_f, and Lambda H^-1 Lambda', levels x q_f x q_f.
  void get_modes(int f, double* u, double* covariance) const;
  // Of factor f at b = 0: Z'r, levels x q_f, and Z'WZ, levels x q_f x q_f.
  void moments(const double* beta, int f, double* score, double* information);

  int logits() const { return C_; }
  int p() const { return p_; }
  int q() const { return q_; }
  int m() const { return static_cast<int>(theta_row_.size()); }
  int size() const { return p_ + m(); }
  const CrossedLayout& layout() const { return layout_; }
  std::mutex busy;  // held by whoever calls anything above from more than one thread

  double bytes() const { return plan_.bytes; }
  bool sparse() const { return plan_.sparse; }

 private:
  // What the rows give at the modes.
  struct Derivatives;

  void allocate();
  bool settle(const double* psi, std::size_t threads, double& value);
  void move_to(const double* psi);
  void prepare_rows(const double* beta);
  template <class S>
  void form_effects(std::size_t i);
  void predict_modes(const double* psi);

  const double* x_of(std::size_t i) const { return &x_[x_room_ + i * x_columns_]; }
  // a row, and what its response says of it
  template <class S = AnySizes>
  const double* effects_of(std::size_t i) const {
    return &a_[i * (S::C ? S::C : C_) * row_effects<S>()];
  }
  double residual(std::size_t i, int c) const { return r_[c * padded_ + i]; }
  template <class S = AnySizes>
  int logit(int effect) const {
    return S::C == 1 ? 0 : logit_[z_index_[effect]];
  }
  template <class S = AnySizes>
  double weight(std::size_t i, int c, int d) const {
    return S::C == 1 ? w_[i] : w_[packed(c, d) * padded_ + i];
  }
  template <class S>
  void predict_tile(std::size_t t, const std::vector<double>& u, double* eta) const;
  void score_tile(std::size_t t, const double* eta);
  double differentiate_tile(std::size_t t, const double* eta);
  template <class S = AnySizes>
  void weigh(std::size_t i, const double* A, double* WA) const;
  template <class S>
  void third_of_form(std::size_t i, const double* V, double* t) const;
  template <class S>
  void third_of_effects(std::size_t i, const double* s, double* out) const;
  template <class S>
  void curvature(std::size_t i, const RowInverse<S>& row, const double* Av, double* omega1,
                 double* out) const;
  template <class S, class R>
  void third_of_directions(std::size_t i, const R* D, std::size_t stride, R* out) const;

  // modes
  void score(const std::vector<double>& u, std::size_t threads);
  bool find_modes(std::size_t threads);
  bool try_step(const std::vector<double>& step, double norm, int halvings, double& there,
                std::size_t threads);
  bool factor(std::size_t threads);
  template <class S>
  void add_scores(std::size_t g, double* rest);
  template <class S>
  void factor_group(std::size_t g, double* H_levels);
  void remainder_stripe(std::size_t stripe, double* columns, std::size_t ld) const;
  void add_row_weights(std::size_t k, double* column) const;
  void solve(double* x, std::size_t width, std::size_t threads) const;
  template <class R>
  void solve_lanes(double* x, std::size_t vectors, std::size_t threads) const;
  double half_log_determinant() const;

  // at the modes
  double differentiate_rows(std::size_t threads);
  void invert(std::size_t threads);
  void invert_stripe(std::size_t stripe, double* work);
  void keep_inverse(std::size_t k, const double* column);
  template <class S = AnySizes>
  void row_covariance(std::size_t i, double* covariance) const;
  template <class S = AnySizes>
  RowInverse<S> form_row(std::size_t i, const double* covariance) const;
  template <class S, int kVectors, class R>
  void predictor(std::size_t i, std::size_t vectors, R* P) const;
  template <class S, class R>
  void add_modes(std::size_t i, std::size_t vectors, R* D) const;
  void differentiate_modes(Derivatives& out, std::size_t threads);
  template <class S>
  RowInverse<S> weigh_row(std::size_t i, Derivatives& to) const;
  template <class S, int kVectors>
  void make_sides(std::size_t range, Derivatives& to, vd* sides, double* Rz);
  template <class S, int kVectors>
  void add_side(std::size_t i, const double* t, vd* work, vd* sides);
  template <class S>
  void add_by_z(std::size_t i, const double* x, std::size_t stride, double* own,
                double* rest) const;
  void multiply_rows(Derivatives& out, std::size_t threads);
  template <class S, int kVectors>
  void multiply_range(std::size_t range, Derivatives& to, double* Sz);
  template <class S, int kVectors>
  void multiply_row(std::size_t i, vd* D, vd* left, double* omega1, vd* gradient) const;
  void add_levels(Derivatives& out) const;

  // accuracy
  double fourth_of_form(std::size_t i, const RowInverse<AnySizes>& row) const;
  double third_squared(std::size_t i, const double* V) const;
  void add_cube(std::size_t i, const double* B, int q, double* out) const;
  double level_third(int f, const double* covariance, std::size_t stride, const std::int32_t* from,
                     const std::int32_t* to) const;

  // the trace
  enum class Traces { of_thetas, all, earlier };
  Traces choose_traces(const double* psi, bool full) const;
  double distance(const double* psi, const std::vector<double>& from) const;
  std::vector<double> make_traces(bool all, std::size_t threads);
  template <class Pass>
  void with_directions(std::size_t count, const Pass& pass) const;
  template <class S, class R, int kVectors>
  void add_slot_traces(std::vector<double>& out, std::size_t count, std::size_t vectors,
                       std::size_t threads);
  template <class S, class R, int kVectors>
  void add_remainder_traces(std::vector<double>& out, std::size_t count, std::size_t vectors,
                            std::size_t threads);
  template <class S, class R, int kVectors>
  void direction_row(std::size_t i, std::size_t vectors, R* out) const;
  template <class S, class R, int kVectors>
  void differentiate_group(std::size_t g, std::size_t made, R* work, R* H_levels, R* sums);
  template <class S, class R>
  void add_group_trace(std::size_t g, std::size_t vectors, const R* H, R* A, R* sums) const;
  template <class S, class R, int kVectors>
  void add_cross_trace(std::size_t stripe, std::size_t made, double* work, R* memory,
                       R* sums) const;
  template <class R>
  void add_filled_trace(std::size_t count, std::size_t vectors, R* sums, std::size_t threads) const;
  template <class S, class R, int kVectors>
  void direction_stripe(std::size_t stripe, bool whole, std::size_t to, std::size_t made,
                        R* columns) const;
  template <class S, class R, int kVectors>
  void add_row_directions(std::size_t k, std::size_t from, std::size_t to, std::size_t made,
                          R* column) const;
  bool trace_is_cheap() const;
  void complete(std::size_t threads);
  Result finish(const Derivatives& derivatives, double value) const;

  // many slots
  template <class Work>
  void for_each_batch(const Work& work) const;
  const double* lay_out(const double* values, std::size_t stride, std::size_t from, std::size_t to,
                        std::vector<double>& out) const;
  void subtract_filled(std::size_t threads);
  void multiply_filled(const double* values, std::size_t stride, double scale, double* out,
                       std::size_t out_stride, std::size_t threads) const;
  void add_filled_direction(std::size_t direction, std::size_t width, double* T, std::size_t ld,
                            std::size_t threads) const;

  template <class S = AnySizes>
  const std::int32_t* variable(std::size_t i) const {
    return &layout_.variable[i * factors<S>()];
  }
  template <class S = AnySizes>
  int first(int f) const {
    return S::effects ? S::effects * f : layout_.first_effect[f];
  }
  template <class S>
  int effects(int f) const {
    return S::effects ? S::effects : layout_.effects[f];
  }
  template <class S>
  int factors() const {
    return S::factors ? S::factors : layout_.factors;
  }
  template <class S>
  int row_effects() const {
    return S::factors * S::effects ? S::factors * S::effects : q_;
  }
  template <class S>
  int thetas() const {
    return S::factors * S::effects == 2 ? 2 : m();
  }
  bool scalar_effects() const {
    return !categorical_ && q_ == layout_.factors && m() == layout_.factors;
  }
  // Calls pass<S, V>(): sizes of the model, and registers of lanes, as far as the compiler knows.
  template <class Pass>
  void with_sizes(std::size_t vectors, const Pass& pass) const {
#ifndef MULTILOGIT_ANY_SIZE
    const bool scalar = scalar_effects();
    if (scalar && q_ == 2 && vectors == 1) return pass.template operator()<ScalarPair, 1>();
    if (scalar && q_ == 2 && vectors == 2) return pass.template operator()<ScalarPair, 2>();
    if (scalar) return pass.template operator()<Scalars, 0>();
#endif
    if (C_ == 1) return pass.template operator()<OneLogit, 0>();
    pass.template operator()<AnySizes, 0>();
  }
  // Where parameter k of (beta, theta) stands in the lanes.
  int lane_of(int k) const { return k < p_ ? m() + k : k - p_; }
  // Registers of all parameters but v.
  std::size_t trace_vectors() const { return (size() + kLanes - 1) / kLanes; }
  // The factor whose theta this is.
  int factor_of(int k) const { return theta_factor_[k]; }
  std::size_t first_row(std::size_t range) const {
    return layout_.group_rows[group_ranges_.first[range]];
  }
  // The effects of a stripe.
  std::size_t begin_of(std::size_t stripe) const { return stripe * layout_.stripe; }
  std::size_t end_of(std::size_t stripe) const {
    return std::min(layout_.remainder, (stripe + 1) * layout_.stripe);
  }
  // visit(variable, f) for every level of every factor.
  template <class Visit>
  void for_each_level(const Visit& visit) const {
    for (std::size_t g = 0; g < layout_.groups; ++g) visit(g * layout_.effects[0], 0);
    for (std::size_t c = 0; c < layout_.blocks(); ++c)
      visit(layout_.eliminated_effects + layout_.block_position[c], layout_.block_factor[c]);
  }

  CrossedLayout layout_;
  CrossedPlan plan_;
  bool categorical_;
  int C_, x_columns_, p_, q_;
  std::size_t tiles_, padded_;  // of kLanes rows; their rows
  std::size_t x_room_;          // where X begins
  Ranges row_ranges_, group_ranges_, stripe_ranges_;
  std::vector<int> own_effect_;  // effect of the caller -> effect here
  std::vector<int> logit_;       // of each column of z_
  std::vector<double> x_, z_;    // rows x columns of X, with room before and after; rows x q
  std::vector<double> y_;        // C x padded rows
  std::vector<double> n_, offset_;

  // psi
  std::vector<int> z_index_;  // effect here -> column of z_
  std::vector<int> theta_row_, theta_column_, theta_factor_;
  std::vector<double> Lambda_;  // q x q

  // modes
  std::vector<double> u_, gradient_;  // variables
  std::vector<double> trial_;
  std::vector<double> last_psi_;
  std::size_t inner_iterations_ = 0;
  std::vector<double> known_psi_;  // where the last evaluation was, while everything is as it left
  Result known_;
  std::vector<double> traces_;      // tr(H^-1 H_k H^-1 H_l), thetas first, that Hessians have
  std::vector<double> traced_psi_;  // where they were computed

  // rows
  std::vector<double> a_;         // rows x C x q: A
  std::vector<double> eta0_, r_;  // C x padded rows
  std::vector<double> w_;         // packed C x C, x padded rows
  std::vector<double> pi_;        // C x padded rows, if categorical
  std::vector<double> w3_, w4_;   // padded rows, if binomial

  // H at the point where it was factored last
  std::vector<double> Hinv_;        // groups x q_E x q_E: H_gg^-1
  std::vector<double> H_R_, K_;     // slots x q_E
  std::vector<double> H_levels_;    // n_R x (largest q_f): H_RR within a level
  std::vector<double> log_pivots_;  // groups
  std::unique_ptr<Remainder> remainder_;
  bool factored_ = false;

  // H^-1 where effects meet
  std::vector<double> G_;       // slots x q_E: (H^-1)_gR
  std::vector<double> cov_E_;   // groups x q_E x q_E
  std::vector<double> cov_R_;   // n_R x (largest q_f): within a level
  std::vector<double> cov_RR_;  // rows x pairs: between levels of different factors
  std::vector<int> pair_;       // q x q -> index of a pair of effects, or -1
  int pairs_ = 0;
  std::size_t widest_ = 0;

  // parameters in lanes
  std::size_t vectors_ = 0;
  std::vector<vd> x_mask_;       // C x vectors: 1 in the lanes of beta
  std::vector<vd> unit_;         // m + 1: 1 in the lane of theta_k, or of v, of its register
  std::vector<vd> U_;            // variables x vectors: u_k, v
  std::vector<double> Rz_, Sz_;  // variables: sums of r z and (w3 h - w A v) z
  std::vector<vd> dH_levels_;    // n_R x (largest q_f) x vectors of the trace
  std::vector<vd> X_, N_;        // slots x q_E x vectors of the trace
};

}  // namespace multilogit
