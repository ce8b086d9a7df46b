// What Laplace's approximation and adaptive quadrature share: the rows of a unit of groups, its
// conditional modes, and the derivatives of l_g that come through log|H| (docs/mathematics.md,
// sections 4 to 7, whose names these are).
//
//   eta = X beta + o + Z b,   b = Lambda u,   u ~ N(0, I_q),   A = Z Lambda
//   f(u) = sum l_i - u'u / 2,   u^ = argmax f,   H = I + A'WA = LL'
//
// What the rows contribute depends on the response: `Response` is BinomialRows or CategoricalRows.
// From here on nothing knows about it: Z'r, Z'WZ and the products of weights with the regressors
// are all that is needed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "low_rank.hpp"
#include "small_cholesky.hpp"
#include "sum_of_logs.hpp"
#include "unit_rows.hpp"

namespace multilogit {

// Modes and their derivatives, kept between evaluations. Component a of group g is at
// [a * groups + g] of its array, so that the groups of a unit lie side by side. Derivatives predict
// modes to a few digits, so that few digits of them are enough.
struct ModeStore {
  std::size_t groups = 0;
  std::vector<double> u;           // q x groups
  std::vector<float> derivatives;  // unit by unit (p + m) q x groups, or empty if it would be large
  std::vector<double> covariance;  // q (q + 1) / 2 x groups: Lambda H^-1 Lambda'
};

// Sums over the groups seen so far, lanes apart. Of gradient and Hessian other parts are in `Flat`:
// X'r and X'(Omega - W)X.
struct Totals {
  vd value{};                // the same in all lanes where they are the rows of one group
  std::vector<vd> gradient;  // p + m, like value
  std::vector<vd>
      pairs;       // m x (p + m), like value: X_ik of theta_i and psi_k; of two thetas X_ik + X_ki
  SumOfLogs logs;  // to be subtracted from the sum of values, every lane
  LowRank low_rank;

  Totals(int size, int m, int squares, int crosses)
      : gradient(size),
        pairs(static_cast<std::size_t>(m) * size),
        low_rank(size, squares, crosses) {}
};

template <int Q, template <int> class Response>
class GroupUnit {
 public:
  explicit GroupUnit(const Point& at)
      : at_(at),
        size_(at.size()),
        response_(at),
        derivative_u_(static_cast<std::size_t>(at.q) * size_) {}

  // Z'r and Z'WZ (packed) of the unit's groups at b = 0: component by component, lane by lane.
  void moments(const RowTiles& rows, int groups, double* out) {
    response_.start(rows);
    const vd b[kMaxQ] = {};
    vd Rz[kMaxQ], Wzz[kMaxS];
    response_.sums(b, Rz, Wzz);
    for (int a = 0; a < q(); ++a) write(Rz[a], out + a * groups, groups);
    for (int c = 0; c < s(); ++c) write(Wzz[c], out + (q() + c) * groups, groups);
  }

  int inner_iterations() const { return inner_iterations_; }

 protected:
  static constexpr int kMaxQ = Q > 0 ? Q : kMaxEffects;
  static constexpr int kMaxS = packed_size(kMaxQ);
  static constexpr int kMaxInner = 100;

  int q() const { return Q > 0 ? Q : at_.q; }
  int s() const { return packed_size(q()); }
  static constexpr int pair(int a, int b) { return packed(a, b); }
  // theta_k is Lambda[row, column].
  int theta_row(int k) const { return effect(at_.theta_row[k]); }
  int theta_column(int k) const { return effect(at_.theta_column[k]); }
  int effect(int a) const {
    if (a < 0 || a >= q()) __builtin_unreachable();
    return a;
  }
  double Lambda(int a, int b) const { return at_.Lambda[a * q() + b]; }

  // b = Lambda u
  void effects(const vd* u, vd* b) const {
    for (int a = 0; a < q(); ++a) {
      vd sum{};
      for (int c = 0; c <= a; ++c) sum += Lambda(a, c) * u[c];
      b[a] = sum;
    }
  }

  // ---- modes -----------------------------------------------------------------------------------

  // Gradient A'r - u and Cholesky factor of H at u.
  struct Score {
    vd gradient[kMaxQ];
    vd norm;  // |gradient|^2
    SmallCholesky<kMaxQ, vd> H;
  };

  void score(const vd* u, Score& out) {
    vd b[kMaxQ] = {};
    effects(u, b);
    vd Rz[kMaxQ], Wzz[kMaxS];
    response_.sums(b, Rz, Wzz);
    factor_H(Wzz, out.H);
    out.norm = vd{};
    for (int a = 0; a < q(); ++a) {
      vd g = -u[a];
      for (int c = a; c < q(); ++c) g += Lambda(c, a) * Rz[c];
      out.gradient[a] = g;
      out.norm += g * g;
    }
  }

  // H = I + Lambda' Wzz Lambda
  void factor_H(const vd* Wzz, SmallCholesky<kMaxQ, vd>& H) const {
    vd WL[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum{};
        for (int d = c; d < q(); ++d) sum += Wzz[pair(a, d)] * Lambda(d, c);
        WL[a * kMaxQ + c] = sum;
      }
    vd full[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c <= a; ++c) {
        vd sum = vd{} + (a == c ? 1.0 : 0.0);
        for (int d = a; d < q(); ++d) sum += Lambda(d, a) * WL[d * kMaxQ + c];
        full[a * kMaxQ + c] = sum;
      }
    H.factor(full, q());
  }

  // Newton's method for u^, damped by |gradient| alone: along the Newton direction |gradient|^2
  // falls at rate 2, so halving finds an acceptable step, and f needs no logarithm here. (The
  // undamped iteration cycles on binary data with large variances.) When the mode is near, one more
  // step is taken and not checked (`last_step`).
  bool find_modes() {
    constexpr double kSufficient = 1e-4;
    Score here, there;
    score(u_, here);
    for (int iteration = 0; iteration < kMaxInner; ++iteration) {
      ++inner_iterations_;
      vd step[kMaxQ], trial[kMaxQ];
      for (int a = 0; a < q(); ++a) step[a] = here.gradient[a];
      here.H.solve(step, q());
      const vd square = squared_distance(here, step);
      const vl done = square <= kClose;
      if (all(done)) {
        last_step(here, step, square);
        return true;
      }
      vd length = splat(1.0);
      for (int halving = 0;; ++halving) {
        for (int a = 0; a < q(); ++a) trial[a] = u_[a] + length * step[a];
        score(trial, there);
        const vl accepted = (there.norm <= (1.0 - 2.0 * kSufficient * length) * here.norm) | done;
        if (all(accepted)) break;
        if (halving == 60) return false;
        length = select(accepted, length, 0.5 * length);
      }
      for (int a = 0; a < q(); ++a) u_[a] = trial[a];
      here = there;
    }
    return false;
  }

  // e^2: the decrement, or where that is more the square of the largest change of a predictor. All
  // that is not linear in u is a function of predictors, and where variances are large and weights
  // small these move far while the decrement is small.
  vd squared_distance(const Score& here, const vd* step) const {
    vd decrement{}, d[kMaxQ] = {};
    for (int a = 0; a < q(); ++a) decrement += step[a] * here.gradient[a];
    if (all(decrement > kClose)) return decrement;
    effects(step, d);
    const vd change = response_.largest_change(d), square = change * change;
    return select(square > decrement, square, decrement);  // not a number stays so
  }

  // The error e of u^ enters l_g at first order and must end near 1e-13. A Newton step leaves e^2;
  // to solve H d = gradient + A'R(A d) for it, where R are the terms of r beyond the linear one,
  // costs no exponentials and leaves e^3 after one iteration, e^4 after two.
  static constexpr double kClosest = 1e-13, kCloser = 2e-9, kClose = 3e-7;  // e^2

  void last_step(const Score& here, vd* step, vd square) {
    const int corrections = all(square <= kClosest) ? 0 : all(square <= kCloser) ? 1 : 2;
    for (int i = 0; i < corrections; ++i) {
      vd d[kMaxQ] = {}, R[kMaxQ];
      effects(step, d);
      response_.remainder(d, R);
      for (int a = 0; a < q(); ++a) {
        step[a] = here.gradient[a];
        for (int c = a; c < q(); ++c) step[a] += Lambda(c, a) * R[c];
      }
      here.H.solve(step, q());
    }
    for (int a = 0; a < q(); ++a) u_[a] += step[a];
  }

  // ---- rows at the mode ------------------------------------------------------------------------

  // The derivatives of every row; f without logarithms, which go to `logs`; H, L^-1, H^-1,
  // B = L^-1 Lambda', K = Lambda H^-1 Lambda'.
  void differentiate_rows(SumOfLogs& logs) {
    vd b[kMaxQ] = {};
    effects(u_, b);
    f_ = response_.differentiate(b, Rz_, Wzz_, logs);
    factor_H(Wzz_, H_);
    for (int a = 0; a < q(); ++a) f_ -= 0.5 * u_[a] * u_[a];
    H_.inverse_factor(Linv_, q());
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum{}, inverse{};
        for (int d = 0; d <= (a < c ? a : c); ++d) sum += Linv_[a * kMaxQ + d] * Lambda(c, d);
        B_[a * kMaxQ + c] = sum;
        for (int d = (a > c ? a : c); d < q(); ++d)
          inverse += Linv_[d * kMaxQ + a] * Linv_[d * kMaxQ + c];
        Hinv_[a * kMaxQ + c] = inverse;
      }
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd k{};
        for (int d = 0; d < q(); ++d) k += B_[d * kMaxQ + a] * B_[d * kMaxQ + c];
        K_[a * kMaxQ + c] = k;
      }
  }

  // With the G of the approximation (-H^-1 / 2 for Laplace's): h = diag(A G A'),
  // v = H^-1 (S_u + A'(w3 h)), omega = w4 h - w3 A v. Then the products with the regressors: rows
  // of `cross_` are w z_a | omega z_a | w3 z_a z_b; omega - wbar and rbar wait in `flat`.
  void weigh_rows(const vd* S_u, Flat& flat) {
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd lg{};
        for (int d = 0; d <= a; ++d) lg += Lambda(a, d) * G_[d * kMaxQ + c];
        LambdaG_[a * kMaxQ + c] = lg;
      }
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd k{};
        for (int d = 0; d <= c; ++d) k += LambdaG_[a * kMaxQ + d] * Lambda(c, d);
        form_[a * kMaxQ + c] = k;
      }
    vd w3h[kMaxQ], right[kMaxQ];
    response_.third_of_form(form_, w3h);
    for (int a = 0; a < q(); ++a) {
      right[a] = S_u[a];
      for (int c = a; c < q(); ++c) right[a] += Lambda(c, a) * w3h[c];
    }
    for (int a = 0; a < q(); ++a) {
      v_[a] = vd{};
      for (int c = 0; c < q(); ++c) v_[a] += Hinv_[a * kMaxQ + c] * right[c];
    }
    vd Lv[kMaxQ];
    for (int a = 0; a < q(); ++a) {
      Lv[a] = vd{};
      for (int c = 0; c <= a; ++c) Lv[a] += Lambda(a, c) * v_[c];
    }
    // sum_i (w3 h - w A v)_i z_i
    for (int a = 0; a < q(); ++a) {
      Sz_[a] = w3h[a];
      for (int c = 0; c < q(); ++c) Sz_[a] -= Wzz_[pair(a, c)] * Lv[c];
    }
    response_.multiply_columns(Lv, flat, cross_);
  }

  // ---- parameters ------------------------------------------------------------------------------

  const vd* cross(int row) const {
    return &cross_[static_cast<std::size_t>(row) * at_.regressors()];
  }
  vd Oz(int a, int c) const { return cross(q() + a)[at_.z[c]]; }        // sum omega z_a z_c
  vd W3(int ab, int c) const { return cross(2 * q() + ab)[at_.z[c]]; }  // sum w3 z_a z_b z_c

  // What a parameter k does, with P_k = x_k (beta) or z_a u_b (theta_k = Lambda[a, b]) and
  // D_k = P_k + z'Lambda u_k.
  struct Parameter {
    vd pw[kMaxQ];   // sum w P_k z
    vd s[kMaxQ];    // L'u_k = L^-1 (Z_k'r - A'W P_k)
    vd u[kMaxQ];    // u_k
    vd dw[kMaxQ];   // sum w D_k z
    vd g[kMaxQ];    // sum omega (P_k + z'Lambda u_k / 2) z, with P_k / 2 for theta
    vd dw3[kMaxS];  // sum w3 D_k z z'
    vd m[kMaxS];    // M_k = L^-1 H_k L^-T, off the diagonal times sqrt 2
  };

  // Calls visit(k, parameter) for all of them.
  template <class Visit>
  void differentiate_modes(const Visit& visit) {
    Parameter P;
    for (int k = 0; k < at_.p; ++k) {
      for (int a = 0; a < q(); ++a) P.pw[a] = cross(a)[k];
      for (int a = 0; a < q(); ++a) P.g[a] = cross(q() + a)[k];
      for (int ab = 0; ab < s(); ++ab) P.dw3[ab] = cross(2 * q() + ab)[k];
      for (int a = 0; a < q(); ++a) P.s[a] = vd{};
      differentiate_mode(P);
      pack_M(P);
      visit(k, P);
    }
    for (int i = 0; i < at_.m(); ++i) {
      const int row = theta_row(i), column = theta_column(i);
      const vd u = u_[column];
      for (int a = 0; a < q(); ++a) P.pw[a] = Wzz_[pair(row, a)] * u;
      for (int a = 0; a < q(); ++a) P.g[a] = 0.5 * Oz(row, a) * u;
      for (int ab = 0; ab < s(); ++ab) P.dw3[ab] = W3(ab, row) * u;
      for (int a = 0; a < q(); ++a) P.s[a] = Linv_[a * kMaxQ + column] * Rz_[row];
      differentiate_mode(P);
      add_to_M(P, row, column);
      pack_M(P);
      visit(at_.p + i, P);
    }
  }

  // From the sums of P_k, and L^-1 Z_k'r in s, to those of D_k, s, u and B dw3 B'.
  __attribute__((always_inline)) void differentiate_mode(Parameter& P) const {
    vd zeta[kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) P.s[a] -= B_[a * kMaxQ + c] * P.pw[c];
    for (int a = 0; a < q(); ++a) {
      zeta[a] = P.u[a] = vd{};
      for (int c = 0; c < q(); ++c) zeta[a] += B_[c * kMaxQ + a] * P.s[c];
      for (int c = a; c < q(); ++c) P.u[a] += Linv_[c * kMaxQ + a] * P.s[c];
    }
    for (int a = 0; a < q(); ++a) {
      vd dw = P.pw[a], half{};
      for (int c = 0; c < q(); ++c) {
        dw += Wzz_[pair(a, c)] * zeta[c];
        half += Oz(a, c) * zeta[c];
      }
      P.dw[a] = dw;
      P.g[a] += 0.5 * half;
    }
    for (int ab = 0; ab < s(); ++ab)
      for (int c = 0; c < q(); ++c) P.dw3[ab] += W3(ab, c) * zeta[c];
    vd half[kMaxQ];
    for (int a = 0; a < q(); ++a) {
      for (int c = 0; c < q(); ++c) {
        half[c] = vd{};
        for (int d = 0; d < q(); ++d) half[c] += B_[a * kMaxQ + d] * P.dw3[pair(d, c)];
      }
      for (int c = 0; c <= a; ++c) {
        vd sum{};
        for (int d = 0; d < q(); ++d) sum += half[d] * B_[c * kMaxQ + d];
        P.m[pair(a, c)] = sum;
      }
    }
  }

  // M_k += (L^-1 e_b)(B Wzz e_a)' + transpose for theta_k = Lambda[a, b]
  void add_to_M(Parameter& P, int row, int column) const {
    vd bw[kMaxQ];
    for (int a = 0; a < q(); ++a) {
      bw[a] = vd{};
      for (int d = 0; d < q(); ++d) bw[a] += B_[a * kMaxQ + d] * Wzz_[pair(d, row)];
    }
    for (int a = column; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        const vd product = Linv_[a * kMaxQ + column] * bw[c];
        P.m[pair(a, c)] += a == c ? 2.0 * product : product;
      }
  }

  // So that M_k'M_l is a sum over pairs.
  void pack_M(Parameter& P) const {
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < a; ++c) P.m[pair(a, c)] *= std::sqrt(2.0);
  }

  // ---- sums over groups ------------------------------------------------------------------------

  // What log|H| contributes to X_kl, l = theta_i = Lambda[a, b]; of two thetas X_kl + X_lk counts.
  vd theta_pair(int k, const Parameter& P, int i) const {
    const int a = theta_row(i), b = theta_column(i);
    vd x = u_[b] * P.g[a] + Sz_[a] * P.u[b] - v_[b] * P.dw[a];
    for (int c = 0; c < q(); ++c) x += 2.0 * P.dw3[pair(a, c)] * LambdaG_[c * kMaxQ + b];
    if (k >= at_.p) {
      const int row = theta_row(k - at_.p), column = theta_column(k - at_.p);
      x += G_[b * kMaxQ + column] * Wzz_[pair(a, row)];
    }
    return x;
  }

  // ---- modes between evaluations ---------------------------------------------------------------

  // u_ = u + sum_k u_k dpsi_k, predicted from the last evaluation.
  void load(const ModeStore& modes, std::size_t g, int groups) {
    for (int a = 0; a < q(); ++a) u_[a] = read(&modes.u[a * modes.groups + g], groups);
    if (modes.derivatives.empty()) return;
    const float* derivative = &modes.derivatives[g * q() * at_.size()];
    for (int k = 0; k < at_.size(); ++k)
      for (int a = 0; a < q(); ++a, derivative += groups)
        if (at_.change[k] != 0.0) u_[a] += at_.change[k] * read(derivative, groups);
  }

  void store(ModeStore& modes, std::size_t g, int groups) {
    for (int a = 0; a < q(); ++a) {
      write(u_[a], &modes.u[a * modes.groups + g], groups);
      for (int c = 0; c <= a; ++c)
        write(K_[a * kMaxQ + c], &modes.covariance[pair(a, c) * modes.groups + g], groups);
    }
    if (modes.derivatives.empty()) return;
    float* derivative = &modes.derivatives[g * q() * at_.size()];
    for (int k = 0; k < at_.size(); ++k)
      for (int a = 0; a < q(); ++a, derivative += groups)
        write(derivative_u_[k * q() + a], derivative, groups);
  }

  vd read(const double* from, int groups) const {
    return response_.groups_in_lanes() ? load_lanes<vd>(from, groups) : splat(*from);
  }
  vd read(const float* from, int groups) const {
    return response_.groups_in_lanes() ? __builtin_convertvector(load_lanes<vf>(from, groups), vd)
                                       : splat(*from);
  }
  static void write(vd value, double* to, int groups) { store_lanes(value, to, groups); }
  static void write(vd value, float* to, int groups) {
    store_lanes(__builtin_convertvector(value, vf), to, groups);
  }

  const Point& at_;
  int size_;  // p + m
  int inner_iterations_ = 0;
  Response<Q> response_;
  vd form_[kMaxQ * kMaxQ];  // Lambda G Lambda'
  std::vector<vd> cross_;   // weights x regressors
  vd f_, u_[kMaxQ], v_[kMaxQ], Rz_[kMaxQ], Sz_[kMaxQ], Wzz_[kMaxS];
  SmallCholesky<kMaxQ, vd> H_;
  vd Linv_[kMaxQ * kMaxQ], B_[kMaxQ * kMaxQ], Hinv_[kMaxQ * kMaxQ], K_[kMaxQ * kMaxQ],
      G_[kMaxQ * kMaxQ], LambdaG_[kMaxQ * kMaxQ];
  std::vector<vd> derivative_u_;  // parameters x q
};

}  // namespace multilogit
