// The rows of a unit with a binomial response.
#pragma once

#include <algorithm>

#include "binomial.hpp"
#include "unit_rows.hpp"

namespace multilogit {

template <int Q>
class BinomialRows : public UnitRows<Q> {
  using Base = UnitRows<Q>;
  using Base::at_, Base::kMaxQ, Base::kMaxS, Base::q, Base::rows_, Base::s, Base::z;

 public:
  using Base::Base;

  // Goes to these rows: eta0 = X beta + o.
  void start(const RowTiles& rows) {
    rows_ = rows;
    averaged_ = false;
    if (eta0_.size() < rows.tiles)
      for (auto* array : {&eta0_, &r_, &w_, &w3_, &w4_}) array->resize(rows.tiles);
    for (std::size_t t = 0; t < rows.tiles; ++t) {
      const vd* x = Base::x(t);
      vd eta = rows.offset ? rows.offset[t] : vd{};
      for (int k = 0; k < at_.p; ++k) eta += x[k] * at_.beta[k];
      eta0_[t] = eta;
    }
  }

  // Z'r and Z'WZ (packed) at b; keeps the third and fourth derivatives of every row.
  void sums(const vd* b, vd* Rz, vd* Wzz) {
    vd rz[kMaxQ] = {}, wzz[kMaxS] = {};
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      const BinomialTerms row = binomial_terms(predictor(t, b), rows_.y[t], rows_.n[t]);
      w3_[t] = row.w3;
      w4_[t] = row.w4;
      add_sums(t, row.r, row.w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
  }

  // The largest |change| of a row's predictor if b changes by d.
  vd largest_change(const vd* d) const {
    vd most{};
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      const vd delta = abs(change(t, d));
      most = select(delta > most, delta, most);
    }
    return this->largest_of_rows(most);
  }

  // By how much Z'r will change beyond -Z'WZ d if b changes by d, to fourth order:
  // r(eta + delta) = r - w delta - w3 delta^2 / 2 - w4 delta^3 / 6 - ...
  void remainder(const vd* d, vd* Rz) const {
    vd rz[kMaxQ] = {};
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      const vd delta = change(t, d);
      const vd rest = (-1.0 / 6.0) * (delta * delta) * (3.0 * w3_[t] + w4_[t] * delta);
      for (int a = 0; a < q(); ++a) rz[a] += rest * z(t, a);
    }
    for (int a = 0; a < q(); ++a) Rz[a] = this->over_rows(rz[a]);
  }

  // Z'r and Z'WZ; keeps all derivatives of every row at b. Returns the sum of l but for
  // its logarithms, which go to `logs`, lanes apart.
  vd differentiate(const vd* b, vd* Rz, vd* Wzz, SumOfLogs& logs) {
    vd linear{}, rz[kMaxQ] = {}, wzz[kMaxS] = {};
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      const BinomialTerms row = binomial_terms(predictor(t, b), rows_.y[t], rows_.n[t]);
      linear += row.linear;
      this->add_log(t, row.t, log1p_unit, logs);
      r_[t] = row.r;
      w_[t] = row.w;
      w3_[t] = row.w3;
      w4_[t] = row.w4;
      add_sums(t, row.r, row.w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
    return this->over_rows(linear);
  }

  // sum w3 h z with h = z'Kz, K = Lambda G Lambda' (row-major, leading dimension kMaxQ).
  void third_of_form(const vd* K, vd* w3h) {
    vd w3hz[kMaxQ] = {};
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      vd h{};
      for (int a = 0; a < q(); ++a) {
        vd Kz{};
        for (int c = 0; c < q(); ++c) Kz += K[a * kMaxQ + c] * z(t, c);
        h += Kz * z(t, a);
      }
      w4_[t] *= h;  // from here on w4 h
      const vd row = w3_[t] * h;
      for (int a = 0; a < q(); ++a) w3hz[a] += row * z(t, a);
    }
    for (int a = 0; a < q(); ++a) w3h[a] = this->over_rows(w3hz[a]);
  }

  // Products of w z_a | omega z_a | w3 z_a z_b with the columns, omega = w4 h - w3 z'Lv; omega -
  // wbar and rbar go to `flat`.
  void multiply_columns(const vd* Lv, Flat& flat, std::vector<vd>& cross) {
    constexpr int kHeight = Q > 0 ? 2 * Q + kMaxS : 0;
    const int height = 2 * q() + s();
    Base::start_products(height, cross);
    vd* const lefts = Base::room(height);
    flat.expect(rows_.x, rows_.tiles);
    vd* weight = flat.weight[0].data() + flat.waiting;
    vd* r = flat.r[0].data() + flat.waiting;
    const vd *wbar = (averaged_ ? wbar_ : w_).data(), *rbar = (averaged_ ? rbar_ : r_).data();
    for (std::size_t t0 = 0; t0 < rows_.tiles; t0 += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, rows_.tiles - t0);
      for (std::size_t i = 0; i < tiles; ++i) {
        const std::size_t t = t0 + i;
        vd av{};
        for (int a = 0; a < q(); ++a) av += z(t, a) * Lv[a];
        const vd omega = w4_[t] - w3_[t] * av;
        weight[t] = omega - wbar[t];
        r[t] = rbar[t];
        vd* left = lefts + i * height;
        for (int a = 0; a < q(); ++a) {
          left[a] = w_[t] * z(t, a);
          left[q() + a] = omega * z(t, a);
          const vd w3z = w3_[t] * z(t, a);
          for (int c = 0; c <= a; ++c) left[2 * q() + packed(a, c)] = w3z * z(t, c);
        }
      }
      Base::template add_products<kHeight>(lefts, height, t0, tiles, cross);
    }
    this->over_rows(cross);
    flat.arrived(at_, rows_.tiles);
  }

  // ---- quadrature ------------------------------------------------------------------------------

  // The rows at node j of `nodes`, at b: Z'r, Z'WZ and the sum of l.
  vd differentiate_node(int j, int nodes, const vd* b, vd* Rz, vd* Wzz) {
    if (r_nodes_.size() < rows_.tiles * nodes) {
      r_nodes_.resize(rows_.tiles * nodes);
      w_nodes_.resize(rows_.tiles * nodes);
    }
    vd linear{}, rz[kMaxQ] = {}, wzz[kMaxS] = {};
    SumOfLogs logs;
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      const BinomialTerms row = binomial_terms(predictor(t, b), rows_.y[t], rows_.n[t]);
      linear += row.linear;
      this->add_log(t, row.t, log1p_unit, logs);
      r_nodes_[t * nodes + j] = row.r;
      w_nodes_[t * nodes + j] = row.w;
      add_sums(t, row.r, row.w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
    return this->over_rows(linear - logs.total());
  }

  // Row by row: rbar = sum p_j r_j, wbar = sum p_j w_j, w1_a = sum p_j w_j x_ja.
  void average(int nodes, const vd* p, const double* x) {
    averaged_ = true;
    if (rbar_.size() < rows_.tiles) {
      rbar_.resize(rows_.tiles);
      wbar_.resize(rows_.tiles);
      w1_.resize(rows_.tiles * kMaxQ);
    }
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      vd r{}, w{}, w1[kMaxQ] = {};
      for (int j = 0; j < nodes; ++j) {
        r += p[j] * r_nodes_[t * nodes + j];
        const vd pw = p[j] * w_nodes_[t * nodes + j];
        w += pw;
        for (int a = 0; a < q(); ++a) w1[a] += pw * x[j * q() + a];
      }
      rbar_[t] = r;
      wbar_[t] = w;
      for (int a = 0; a < q(); ++a) w1_[t * kMaxQ + a] = w1[a];
    }
  }

  // Products of wbar z_a | w1_b z_a | r_j for every node with the columns.
  void multiply_node_columns(int nodes, std::vector<vd>& cross) {
    const int height = q() + q() * q() + nodes;
    Base::start_products(height, cross);
    vd* const lefts = Base::room(height);
    for (std::size_t t0 = 0; t0 < rows_.tiles; t0 += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, rows_.tiles - t0);
      for (std::size_t i = 0; i < tiles; ++i) {
        const std::size_t t = t0 + i;
        vd* left = lefts + i * height;
        for (int a = 0; a < q(); ++a) {
          left[a] = wbar_[t] * z(t, a);
          for (int b = 0; b < q(); ++b) left[q() + b * q() + a] = w1_[t * kMaxQ + b] * z(t, a);
        }
        for (int j = 0; j < nodes; ++j) left[q() + q() * q() + j] = r_nodes_[t * nodes + j];
      }
      Base::template add_products<0>(lefts, height, t0, tiles, cross);
    }
    this->over_rows(cross);
  }

 private:
  // eta of tile t at b = Lambda u.
  vd predictor(std::size_t t, const vd* b) const {
    vd eta = eta0_[t];
    for (int a = 0; a < q(); ++a) eta += z(t, a) * b[a];
    return eta;
  }

  // Of eta, if b changes by d.
  vd change(std::size_t t, const vd* d) const {
    vd delta{};
    for (int a = 0; a < q(); ++a) delta += z(t, a) * d[a];
    return delta;
  }

  void add_sums(std::size_t t, vd r, vd w, vd* rz, vd* wzz) const {
    for (int a = 0; a < q(); ++a) {
      rz[a] += r * z(t, a);
      const vd wz = w * z(t, a);
      for (int c = 0; c <= a; ++c) wzz[packed(a, c)] += wz * z(t, c);
    }
  }

  std::vector<vd> eta0_, r_, w_, w3_, w4_;  // per tile
  std::vector<vd> r_nodes_, w_nodes_;       // tiles x nodes
  std::vector<vd> rbar_, wbar_, w1_;        // tiles; w1: x kMaxQ
  bool averaged_ = false;
};

}  // namespace multilogit
