// Derivatives of the factors of a slot's trees (docs/mathematics.md, sections 5 and 8).
//
// M_k = L^-1 H_k L^-T keeps the pattern of the tree. Rows and columns of the node's own effects
// against its path are, with E_k = dV / dpsi_k and C = L^-1 T',
//
//   B E_k C' + [theta_k = (a, b) of the path] P_b (CV)_a' + [of this level] (BV)_a (L^-1)_b',
//
// where of leaves E_k = sum w3 D_k zeta zeta', D_k = x_k + zeta'y_k. What E_k is for the parent:
//
//   dV-_k = J'E_k J - [theta_k = (a, b) of this level] V-(e_a T_b' + T_b e_a')V-.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "nested_mode_derivatives.hpp"

namespace multilogit {

template <int Z, int Q>
class FactorDerivatives : public ModeDerivatives<Z, Q> {
  using Base = ModeDerivatives<Z, Q>;

 public:
  using typename Base::Level;

  FactorDerivatives(const NestedProblem& problem, int top, bool alone) : Base(problem, top, alone) {
    for (auto* array : {&E_, &passed_}) array->resize(this->ss() * this->size_);
  }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using typename Base::Theta;

  // E_k of a block, packed x parameters.
  const vd* information(Level& level, std::size_t b) {
    const int zs = this->zs(), size = this->size_, width = this->at_.width();
    if (level.d > 0) {
      level.factors.read(b, E_.data());
      return E_.data();
    }
    const vd* y = this->y(level, b);
    for (int s = 0; s < this->ss(); ++s) {
      const vd* w3 = this->cross_w3(b) + s * width;
      vd* E = &E_[s * size];
      this->copy_beta(w3, 1.0, E);
      std::fill(E + this->at_.p, E + size, vd{});
      for (int c = 0; c < zs; ++c) add(w3[this->at_.regressor(c)], y + c * size, E);
    }
    return E_.data();
  }

  // M_k of the rows i >= least of the path against own effects a <= i, in this order: for every a
  // its rows, each with all parameters.
  void find_M(Level& level, std::size_t b, const vd* E, int least, vd* M) {
    const int q_d = this->q(level), zs = this->zs(), path = level.path, size = this->size_;
    const vd *P = this->P(level, b), *B = this->B(level, b);
    vd BV[kMaxPath * kMaxZ];
    multiply_V(level, b, BV);
    for (int a = 0; a < q_d; ++a) {
      const int first = std::max(a, least);
      for (int k = 0; k < size; ++k) {
        vd EC[kMaxZ];  // E_k C', column a
        multiply_information(E, k, B + a * zs, EC);
        for (int i = first; i < path; ++i) {
          vd sum{};
          for (int c = 0; c < zs; ++c) sum += B[i * zs + c] * EC[c];
          M[(i - first) * size + k] = sum;
        }
      }
      for (const Theta& theta : level.thetas)
        for (int i = first; i < path; ++i) {
          vd sum = P[i * path + theta.effect] * BV[a * zs + theta.zeta];
          if (theta.effect < q_d) sum += BV[i * zs + theta.zeta] * P[a * path + theta.effect];
          M[(i - first) * size + theta.k] += sum;
        }
      M += (path - first) * size;
    }
  }

  // Number of rows of find_M.
  int rows_of_M(const Level& level, int least) const {
    int rows = 0;
    for (int a = 0; a < this->q(level); ++a) rows += level.path - std::max(a, least);
    return rows;
  }

  void pass_information(Level& level, std::size_t b, const vd* E) {
    if (this->is_top(level)) return;
    const int zs = this->zs(), size = this->size_;
    const vd* J = of(level.J, zs * zs, b);
    for (int g = 0; g < zs; ++g) {
      vd column[kMaxZ];
      for (int e = 0; e < zs; ++e) column[e] = J[e * zs + g];
      for (int k = 0; k < size; ++k) {
        vd EJ[kMaxZ];
        multiply_information(E, k, column, EJ);
        for (int f = g; f < zs; ++f) {
          vd sum{};
          for (int c = 0; c < zs; ++c) sum += J[c * zs + f] * EJ[c];
          passed_[packed(f, g) * size + k] = sum;
        }
      }
    }
    pass_thetas(level, b);
    this->parent(level).factors.add(passed_.data(), this->parents(level, b));
  }

  // out_k += scale x_k, for all parameters
  void add(vd scale, const vd* x, vd* out) const {
    for (int k = 0; k < this->size_; ++k) out[k] += scale * x[k];
  }

 private:
  // BV
  void multiply_V(Level& level, std::size_t b, vd* BV) {
    const int zs = this->zs();
    const vd *B = this->B(level, b), *V = this->V(level, b);
    for (int i = 0; i < level.path; ++i)
      for (int c = 0; c < zs; ++c) {
        vd sum{};
        for (int e = 0; e < zs; ++e) sum += B[i * zs + e] * V[packed(e, c)];
        BV[i * zs + c] = sum;
      }
  }

  // out = E_k x
  void multiply_information(const vd* E, int k, const vd* x, vd* out) const {
    const int zs = this->zs();
    for (int c = 0; c < zs; ++c) {
      vd sum{};
      for (int e = 0; e < zs; ++e) sum += E[packed(c, e) * this->size_ + k] * x[e];
      out[c] = sum;
    }
  }

  // - V-(e_a T_b' + T_b e_a')V- in passed_, for the thetas of the level
  void pass_thetas(Level& level, std::size_t b) {
    const int zs = this->zs(), size = this->size_;
    const vd *J = of(level.J, zs * zs, b), *V = this->V(level, b);
    vd reduced[kMaxZ * kMaxZ];  // V-
    for (int c = 0; c < zs; ++c)
      for (int g = 0; g < zs; ++g) {
        vd sum{};
        for (int e = 0; e < zs; ++e) sum += V[packed(c, e)] * J[e * zs + g];
        reduced[c * zs + g] = sum;
      }
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      vd VT[kMaxZ];
      for (int c = 0; c < zs; ++c) {
        vd sum{};
        for (int g = 0; g < zs; ++g) sum += reduced[c * zs + g] * this->T(level, g, theta.effect);
        VT[c] = sum;
      }
      for (int c = 0; c < zs; ++c)
        for (int g = 0; g <= c; ++g)
          passed_[packed(c, g) * size + theta.k] -=
              reduced[c * zs + theta.zeta] * VT[g] + reduced[g * zs + theta.zeta] * VT[c];
    }
  }

  std::vector<vd> E_, passed_;
};

}  // namespace multilogit
