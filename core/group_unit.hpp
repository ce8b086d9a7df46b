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

#include "small_cholesky.hpp"
#include "unit_rows.hpp"

namespace multilogit {

// Modes and their derivatives, kept between evaluations. Component a of group g is at
// [a * groups + g] of its array, so that the groups of a unit lie side by side.
struct ModeStore {
  std::size_t groups = 0;
  std::vector<double> u;            // q x groups
  std::vector<double> derivatives;  // (p + m) q x groups, or empty where that would be large
  std::vector<double> covariance;   // q (q + 1) / 2 x groups: Lambda H^-1 Lambda'
};

// Sums over the groups seen so far, lanes apart.
struct Totals {
  std::size_t stride;
  vd value{};
  std::vector<vd> gradient;  // p + m; the part X'r of the first p is in `Flat`
  std::vector<vd> hessian;   // stride^2, upper triangle of p + m; without X'(Omega - W)X

  explicit Totals(int size)
      : stride(whole_blocks(size)), gradient(size), hessian(stride * stride) {}

  void clear() {
    value = vd{};
    std::fill(gradient.begin(), gradient.end(), vd{});
    std::fill(hessian.begin(), hessian.end(), vd{});
  }
};

template <int Q, template <int> class Response>
class GroupUnit {
 public:
  explicit GroupUnit(const Point& at)
      : at_(at),
        size_(whole_blocks(at.size())),
        response_(at),
        derivative_u_(static_cast<std::size_t>(at.q) * size_),
        y_(static_cast<std::size_t>(at.q) * size_),
        n_(static_cast<std::size_t>(at.q) * size_),
        g_(static_cast<std::size_t>(at.q) * size_),
        pw_(static_cast<std::size_t>(at.q) * size_),
        dw_(static_cast<std::size_t>(at.q) * size_),
        dw3_(static_cast<std::size_t>(packed_size(at.q)) * size_),
        m_(static_cast<std::size_t>(packed_size(at.q)) * size_) {}

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
  double Lambda(int a, int b) const { return at_.Lambda[a * q() + b]; }
  vd& at(std::vector<vd>& array, int component, int k) { return array[component * size_ + k]; }
  const vd& at(const std::vector<vd>& array, int component, int k) const {
    return array[component * size_ + k];
  }

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
  // undamped iteration cycles on binary data with large variances.) When the decrement is small,
  // one more step is taken and not checked (`last_step`).
  bool find_modes() {
    constexpr double kSufficient = 1e-4;
    Score here, there;
    score(u_, here);
    for (int iteration = 0; iteration < kMaxInner; ++iteration) {
      ++inner_iterations_;
      vd step[kMaxQ], trial[kMaxQ];
      for (int a = 0; a < q(); ++a) step[a] = here.gradient[a];
      here.H.solve(step, q());
      vd decrement{};
      for (int a = 0; a < q(); ++a) decrement += step[a] * here.gradient[a];
      const auto done = decrement <= kClose;
      if (all(done)) {
        last_step(here, step, decrement);
        return true;
      }
      vd length = splat(1.0);
      for (int halving = 0;; ++halving) {
        for (int a = 0; a < q(); ++a) trial[a] = u_[a] + length * step[a];
        score(trial, there);
        const auto accepted =
            either(there.norm <= (1.0 - 2.0 * kSufficient * length) * here.norm, done);
        if (all(accepted)) break;
        if (halving == 60) return false;
        length = choose(accepted, length, 0.5 * length);
      }
      for (int a = 0; a < q(); ++a) u_[a] = trial[a];
      here = there;
    }
    return false;
  }

  // The error e of u^ enters l_g at first order and must end near 1e-13. A Newton step leaves e^2;
  // to solve H d = gradient + A'R(A d) for it, where R are the terms of r beyond the linear one,
  // costs no exponentials and leaves e^3 after one iteration, e^4 after two.
  static constexpr double kClosest = 1e-13, kCloser = 2e-9, kClose = 3e-7;  // decrements e^2

  void last_step(const Score& here, vd* step, vd decrement) {
    const int corrections = all(decrement <= kClosest) ? 0 : all(decrement <= kCloser) ? 1 : 2;
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

  // The derivatives of every row; f; H, L^-1, H^-1, B = L^-1 Lambda', K = Lambda H^-1 Lambda'.
  void differentiate_rows() {
    vd b[kMaxQ] = {};
    effects(u_, b);
    f_ = response_.differentiate(b, Rz_, Wzz_);
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

  // For every parameter k, with P_k = x_k (beta) or z_a u_b (theta_k = Lambda[a, b]):
  //   n_k = H u_k = Z_k'r - A'W P_k,   D_k = P_k + z'zeta, and sums of D_k against weights:
  //   pw = sum w P_k z, dw = sum w D_k z, g = sum omega P_k z + (1/2) sum omega z z' zeta,
  //   y = Lambda'g,
  //   dw3 = sum w3 D_k z z',   M_k = L^-1 H_k L^-T (packed, off-diagonal times sqrt 2).
  void differentiate_modes() {
    const int p = at_.p, m = at_.m();
    for (int a = 0; a < q(); ++a)
      for (int k = 0; k < p; ++k) {
        at(pw_, a, k) = cross(a)[k];
        at(g_, a, k) = cross(q() + a)[k];
      }
    for (int ab = 0; ab < s(); ++ab)
      for (int k = 0; k < p; ++k) at(dw3_, ab, k) = cross(2 * q() + ab)[k];
    for (int i = 0; i < m; ++i) {
      const int row = at_.theta_row[i];
      const vd u = u_[at_.theta_column[i]];
      for (int a = 0; a < q(); ++a) {
        at(pw_, a, p + i) = Wzz_[pair(row, a)] * u;
        at(g_, a, p + i) = Oz(row, a) * u;
      }
      for (int ab = 0; ab < s(); ++ab) at(dw3_, ab, p + i) = W3(ab, row) * u;
    }
    for (int k = 0; k < p + m; ++k) differentiate_mode(k);
  }

  void differentiate_mode(int k) {
    const bool is_theta = k >= at_.p;
    const int row = is_theta ? at_.theta_row[k - at_.p] : 0;
    const int column = is_theta ? at_.theta_column[k - at_.p] : 0;
    vd n[kMaxQ], u[kMaxQ], y[kMaxQ];
    for (int a = 0; a < q(); ++a) {
      n[a] = vd{};
      for (int c = a; c < q(); ++c) n[a] -= Lambda(c, a) * at(pw_, c, k);
    }
    if (is_theta) n[column] += Rz_[row];
    for (int a = 0; a < q(); ++a) {
      u[a] = vd{};
      for (int c = 0; c < q(); ++c) u[a] += Hinv_[a * kMaxQ + c] * n[c];
    }
    for (int a = 0; a < q(); ++a) {
      y[a] = vd{};
      for (int c = 0; c <= a; ++c) y[a] += Lambda(a, c) * u[c];
    }
    for (int a = 0; a < q(); ++a) {
      vd dw = at(pw_, a, k), g{}, half{};
      for (int c = 0; c < q(); ++c) {
        dw += Wzz_[pair(a, c)] * y[c];
        half += Oz(a, c) * y[c];
      }
      // zeta = y + [theta] e_row u_column; P_k's own part of it is in g_ already
      g = at(g_, a, k) + 0.5 * half;
      if (is_theta) g -= 0.5 * Oz(row, a) * u_[column];
      at(dw_, a, k) = dw;
      at(g_, a, k) = g;
      at(n_, a, k) = n[a];
      at(derivative_u_, a, k) = u[a];
    }
    for (int ab = 0; ab < s(); ++ab)
      for (int c = 0; c < q(); ++c) at(dw3_, ab, k) += W3(ab, c) * y[c];
    differentiate_H(k, is_theta, row, column);
    for (int a = 0; a < q(); ++a) {
      vd lg{};
      for (int c = a; c < q(); ++c) lg += Lambda(c, a) * at(g_, c, k);
      at(y_, a, k) = lg;
    }
  }

  // M_k = B dw3 B' + [theta] (L^-1 e_b)(B Wzz e_a)' + transpose
  void differentiate_H(int k, bool is_theta, int row, int column) {
    vd half[kMaxQ * kMaxQ], bw[kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum{};
        for (int d = 0; d < q(); ++d) sum += B_[a * kMaxQ + d] * at(dw3_, pair(d, c), k);
        half[a * kMaxQ + c] = sum;
      }
    for (int a = 0; a < q(); ++a) {
      bw[a] = vd{};
      if (is_theta)
        for (int d = 0; d < q(); ++d) bw[a] += B_[a * kMaxQ + d] * Wzz_[pair(d, row)];
    }
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c <= a; ++c) {
        vd sum{};
        for (int d = 0; d < q(); ++d) sum += half[a * kMaxQ + d] * B_[c * kMaxQ + d];
        if (is_theta) {
          if (a >= column) sum += Linv_[a * kMaxQ + column] * bw[c];
          if (c >= column) sum += Linv_[c * kMaxQ + column] * bw[a];
        }
        at(m_, pair(a, c), k) = a == c ? sum : std::sqrt(2.0) * sum;
      }
  }

  // ---- sums over groups ------------------------------------------------------------------------

  // What log|H| contributes to X_kl, l = theta_i = Lambda[a, b]; of two thetas X_kl + X_lk counts.
  vd theta_pair(int k, int i) const {
    const int a = at_.theta_row[i], b = at_.theta_column[i];
    vd x = u_[b] * at(g_, a, k) + Sz_[a] * at(derivative_u_, b, k) - v_[b] * at(dw_, a, k);
    for (int c = 0; c < q(); ++c) x += 2.0 * at(dw3_, pair(a, c), k) * LambdaG_[c * kMaxQ + b];
    if (k >= at_.p) {
      const int row = at_.theta_row[k - at_.p], column = at_.theta_column[k - at_.p];
      x += G_[b * kMaxQ + column] * Wzz_[pair(a, row)];
    }
    return x;
  }

  void add_pair(int k, int i, vd x, Totals& totals) const {
    const int l = at_.p + i;
    const auto upper = static_cast<std::size_t>(k <= l ? k : l) * size_ + (k <= l ? l : k);
    totals.hessian[upper] += k == l ? 2.0 * x : x;
  }

  // ---- modes between evaluations ---------------------------------------------------------------

  // u_ = u + sum_k u_k dpsi_k, predicted from the last evaluation.
  void load(const ModeStore& modes, std::size_t g, int groups) {
    for (int a = 0; a < q(); ++a) {
      u_[a] = read(&modes.u[a * modes.groups + g], groups);
      if (modes.derivatives.empty()) continue;
      for (int k = 0; k < at_.size(); ++k)
        if (at_.change[k] != 0.0)
          u_[a] +=
              at_.change[k] *
              read(&modes.derivatives[(static_cast<std::size_t>(k) * q() + a) * modes.groups + g],
                   groups);
    }
  }

  void store(ModeStore& modes, std::size_t g, int groups) {
    for (int a = 0; a < q(); ++a) {
      write(u_[a], &modes.u[a * modes.groups + g], groups);
      for (int c = 0; c <= a; ++c)
        write(K_[a * kMaxQ + c], &modes.covariance[pair(a, c) * modes.groups + g], groups);
      if (modes.derivatives.empty()) continue;
      for (int k = 0; k < at_.size(); ++k)
        write(at(derivative_u_, a, k),
              &modes.derivatives[(static_cast<std::size_t>(k) * q() + a) * modes.groups + g],
              groups);
    }
  }

  vd read(const double* from, int groups) const {
    if (!response_.groups_in_lanes()) return splat(*from);
    vd out{};
    if (groups == kLanes)
      std::memcpy(&out, from, sizeof out);
    else
      std::memcpy(&out, from, sizeof(double) * groups);
    return out;
  }

  static void write(vd value, double* to, int groups) {
    if (groups == kLanes)  // an instruction
      std::memcpy(to, &value, sizeof value);
    else
      std::memcpy(to, &value, sizeof(double) * groups);
  }

  const Point& at_;
  int size_;  // p + m in whole blocks: parameters beyond p + m do not exist, their numbers are 0
  int inner_iterations_ = 0;
  Response<Q> response_;
  vd form_[kMaxQ * kMaxQ];  // Lambda G Lambda'
  std::vector<vd> cross_;   // weights x regressors
  vd f_, u_[kMaxQ], v_[kMaxQ], Rz_[kMaxQ], Sz_[kMaxQ], Wzz_[kMaxS];
  SmallCholesky<kMaxQ, vd> H_;
  vd Linv_[kMaxQ * kMaxQ], B_[kMaxQ * kMaxQ], Hinv_[kMaxQ * kMaxQ], K_[kMaxQ * kMaxQ],
      G_[kMaxQ * kMaxQ], LambdaG_[kMaxQ * kMaxQ];
  std::vector<vd> derivative_u_, y_, n_, g_, pw_, dw_, dw3_, m_;  // components x parameters
};

}  // namespace multilogit
