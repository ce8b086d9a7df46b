// The rows of a unit with a categorical response: C logits (Logits = 0: any number). What is a
// number for a binomial row is a C-vector (r, t), a symmetric C x C matrix (W, V, Omega) or a
// symmetric cube (the third cumulants) here, each stored once (`packed`).
//
// Effects of different logits share columns, and cumulants are symmetric, so that many of the
// products that group_unit.hpp asks for are equal: each is computed once (`Products`).
#pragma once

#include <algorithm>
#include <array>
#include <map>

#include "categorical.hpp"
#include "unit_rows.hpp"

namespace multilogit {

// The distinct products (element of a cumulant) x (column of Z, or product of two), and which of
// them is the one of effect a (or the pair a, b) and logit c.
class Products {
 public:
  struct Product {
    int element, z;  // of the packed cumulant; of `z_single` or `z_pairs`
  };

  explicit Products(const Point& at) {
    std::map<std::array<int, 2>, int> singles, pairs, seconds, thirds;
    const auto number = [](auto& known, std::array<int, 2> key, auto& list, auto value) {
      const auto [found, is_new] = known.try_emplace(key, static_cast<int>(list.size()));
      if (is_new) list.push_back(value);
      return found->second;
    };
    for (int a = 0; a < at.q; ++a) {
      const int za = at.z_column[a], single = number(singles, {za, 0}, z_single, za);
      for (int c = 0; c < at.logits; ++c) {
        const int element = packed(at.z_logit[a], c);
        second_of.push_back(number(seconds, {element, single}, second, Product{element, single}));
      }
    }
    for (int a = 0; a < at.q; ++a)
      for (int b = 0; b <= a; ++b) {
        const std::array<int, 2> columns{std::min(at.z_column[a], at.z_column[b]),
                                         std::max(at.z_column[a], at.z_column[b])};
        const int pair = number(pairs, columns, z_pairs, columns);
        for (int c = 0; c < at.logits; ++c) {
          const int element = packed(at.z_logit[a], at.z_logit[b], c);
          third_of.push_back(number(thirds, {element, pair}, third, Product{element, pair}));
        }
      }
  }

  std::vector<int> z_single;                // columns
  std::vector<std::array<int, 2>> z_pairs;  // pairs of columns
  std::vector<Product> second,
      third;  // of W or Omega with z_a; of the third cumulants with z_a z_b
  std::vector<int> second_of, third_of;  // [a * C + c]; [packed(a, b) * C + c]
};

template <int Logits, int Q>
class CategoricalRows : public UnitRows<Q> {
  using Base = UnitRows<Q>;
  using Base::at_, Base::kMaxQ, Base::kMaxS, Base::q, Base::rows_, Base::s, Base::z;

 public:
  explicit CategoricalRows(const Point& at) : Base(at), products_(at) {}

  // Goes to these rows: eta0_c = X beta_c + o.
  void start(const RowTiles& rows) {
    rows_ = rows;
    averaged_ = false;
    resize(rows.tiles);
    const int px = at_.x_columns;
    for (std::size_t t = 0; t < rows.tiles; ++t) {
      const vd* x = Base::x(t);
      for (int c = 0; c < C(); ++c) {
        const double* beta = &at_.beta[c * px];
        vd eta = rows.offset ? rows.offset[t] : vd{};
        for (int k = 0; k < px; ++k) eta += x[k] * beta[k];
        eta0_[t * C() + c] = eta;
      }
    }
  }

  // Z'r and Z'WZ (packed) at b; keeps pi of every row.
  void sums(const vd* b, vd* Rz, vd* Wzz) {
    vd rz[kMaxQ] = {}, wzz[kMaxS] = {}, eta[kMaxC], r[kMaxC], w[kMaxPairs];
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      predictor(t, b, eta);
      categorical_score(C(), eta, y(t), rows_.n[t], &pi_[t * C()], r, w);
      add_sums(t, r, w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
  }

  // The largest |change| of a row's predictors if b changes by d.
  vd largest_change(const vd* d) const {
    vd most{}, delta[kMaxC];
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      change(t, d, delta);
      for (int c = 0; c < C(); ++c) most = select(abs(delta[c]) > most, abs(delta[c]), most);
    }
    return this->largest_of_rows(most);
  }

  // By how much Z'r will change beyond -Z'WZ d if b changes by d, to fourth order.
  void remainder(const vd* d, vd* Rz) const {
    vd rz[kMaxQ] = {}, delta[kMaxC], rest[kMaxC];
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      change(t, d, delta);
      categorical_remainder(C(), &pi_[t * C()], rows_.n[t], delta, rest);
      for (int a = 0; a < q(); ++a) rz[a] += rest[at_.z_logit[a]] * z(t, a);
    }
    for (int a = 0; a < q(); ++a) Rz[a] = this->over_rows(rz[a]);
  }

  // Z'r and Z'WZ; keeps the derivatives of every row at b. Returns the sum of l but for its
  // logarithms, which go to `logs`, lanes apart.
  vd differentiate(const vd* b, vd* Rz, vd* Wzz, SumOfLogs& logs) {
    vd linear{}, rz[kMaxQ] = {}, wzz[kMaxS] = {}, eta[kMaxC];
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      predictor(t, b, eta);
      vd *r = &r_[t * C()], *w = &w_[t * pairs()];
      const auto row = categorical_terms(C(), eta, y(t), rows_.n[t], &pi_[t * C()], r, w);
      linear += row.linear;
      this->add_log(t, row.rest, log1p_sum, logs);
      add_sums(t, r, w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
    return this->over_rows(linear);
  }

  // sum_i t_i z_i with t = kappa3(., V), V = z'Kz for every pair of logits.
  void third_of_form(const vd* K, vd* sums) {
    vd tz[kMaxQ] = {}, coefficient[kMaxS];
    for (int a = 0; a < q(); ++a)
      for (int b = 0; b <= a; ++b) {
        const bool twice = a != b && at_.z_logit[a] == at_.z_logit[b];
        coefficient[packed(a, b)] = twice ? 2.0 * K[a * kMaxQ + b] : K[a * kMaxQ + b];
      }
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      vd* V = &V_[t * pairs()];
      std::fill(V, V + pairs(), vd{});
      for (int a = 0; a < q(); ++a)
        for (int b = 0; b <= a; ++b)
          V[packed(at_.z_logit[a], at_.z_logit[b])] +=
              coefficient[packed(a, b)] * z(t, a) * z(t, b);
      vd* third = &t_[t * C()];
      multilogit::third_of_form(C(), &pi_[t * C()], &w_[t * pairs()], V, &Vpi_[t * C()], third);
      for (int a = 0; a < q(); ++a) tz[a] += third[at_.z_logit[a]] * z(t, a);
    }
    for (int a = 0; a < q(); ++a) sums[a] = this->over_rows(tz[a]);
  }

  // Products of W z_a | Omega z_a | kappa3 z_a z_b with the regressors,
  // Omega = kappa4(., ., V) - kappa3(., ., z'Lv); Omega - Wbar and rbar go to `flat`.
  void multiply_columns(const vd* Lv, Flat& flat, std::vector<vd>& cross) {
    const int seconds = size(products_.second), height = 2 * seconds + size(products_.third);
    vd* const lefts = start_products(height);
    flat.expect(rows_.x, rows_.tiles);
    for (std::size_t t0 = 0; t0 < rows_.tiles; t0 += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, rows_.tiles - t0);
      for (std::size_t i = 0; i < tiles; ++i) fill_left(t0 + i, Lv, lefts + i * height, flat);
      add_products(lefts, height, t0, tiles);
    }
    this->over_rows(products_sum_);
    flat.arrived(at_, rows_.tiles);
    cross.resize(static_cast<std::size_t>(2 * q() + s()) * at_.regressors());
    expand(products_.second_of, 0, 0, cross);
    expand(products_.second_of, seconds, q(), cross);
    expand(products_.third_of, 2 * seconds, 2 * q(), cross);
  }

  // ---- quadrature ------------------------------------------------------------------------------

  // The rows at node j of `nodes`, at b: Z'r, Z'WZ and the sum of l.
  vd differentiate_node(int j, int nodes, const vd* b, vd* Rz, vd* Wzz) {
    if (r_nodes_.size() < rows_.tiles * nodes * C()) {
      r_nodes_.resize(rows_.tiles * nodes * C());
      w_nodes_.resize(rows_.tiles * nodes * pairs());
    }
    vd linear{}, rz[kMaxQ] = {}, wzz[kMaxS] = {}, eta[kMaxC], pi[kMaxC];
    SumOfLogs logs;
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      predictor(t, b, eta);
      vd *r = &r_nodes_[(t * nodes + j) * C()], *w = &w_nodes_[(t * nodes + j) * pairs()];
      const auto row = categorical_terms(C(), eta, y(t), rows_.n[t], pi, r, w);
      linear += row.linear;
      this->add_log(t, row.rest, log1p_sum, logs);
      add_sums(t, r, w, rz, wzz);
    }
    Base::finish_sums(rz, wzz, Rz, Wzz);
    return this->over_rows(linear - logs.total());
  }

  // Row by row: rbar = sum p_j r_j, Wbar = sum p_j W_j, W1_a = sum p_j W_j x_ja.
  void average(int nodes, const vd* p, const double* x) {
    averaged_ = true;
    const int height = pairs() * (1 + q());
    if (rbar_.size() < rows_.tiles * C()) {
      rbar_.resize(rows_.tiles * C());
      wbar_.resize(rows_.tiles * height);
    }
    for (std::size_t t = 0; t < rows_.tiles; ++t) {
      vd *r = &rbar_[t * C()], *w = &wbar_[t * height];
      std::fill(r, r + C(), vd{});
      std::fill(w, w + height, vd{});
      for (int j = 0; j < nodes; ++j) {
        const vd* rj = &r_nodes_[(t * nodes + j) * C()];
        const vd* wj = &w_nodes_[(t * nodes + j) * pairs()];
        for (int c = 0; c < C(); ++c) r[c] += p[j] * rj[c];
        for (int i = 0; i < pairs(); ++i) {
          const vd pw = p[j] * wj[i];
          w[i] += pw;
          for (int a = 0; a < q(); ++a) w[(1 + a) * pairs() + i] += pw * x[j * q() + a];
        }
      }
    }
  }

  // Products of Wbar z_a | W1_b z_a | r_j for every node with the regressors.
  void multiply_node_columns(int nodes, std::vector<vd>& cross) {
    const int seconds = size(products_.second), before = (1 + q()) * seconds;
    const int height = before + nodes * C();
    vd* const lefts = start_products(height);
    for (std::size_t t0 = 0; t0 < rows_.tiles; t0 += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, rows_.tiles - t0);
      for (std::size_t i = 0; i < tiles; ++i) {
        const std::size_t t = t0 + i;
        vd* left = lefts + i * height;
        for (int b = 0; b <= q(); ++b)
          fill_seconds(t, &wbar_[(t * (1 + q()) + b) * pairs()], left + b * seconds);
        std::copy_n(&r_nodes_[t * nodes * C()], nodes * C(), left + before);
      }
      add_products(lefts, height, t0, tiles);
    }
    this->over_rows(products_sum_);
    cross.resize(static_cast<std::size_t>(q() + q() * q() + nodes) * at_.regressors());
    for (int b = 0; b <= q(); ++b) expand(products_.second_of, b * seconds, b * q(), cross);
    for (int j = 0; j < nodes; ++j)
      for (int c = 0; c < C(); ++c) expand_row(before + j * C() + c, q() + q() * q() + j, c, cross);
  }

 private:
  static constexpr int kMaxC = Logits > 0 ? Logits : kMaxLogits;
  static constexpr int kMaxPairs = packed_size(kMaxC);

  template <class T>
  static int size(const std::vector<T>& list) {
    return static_cast<int>(list.size());
  }
  int C() const { return Logits > 0 ? Logits : at_.logits; }
  int pairs() const { return packed_size(C()); }
  const vd* y(std::size_t t) const { return rows_.y + t * C(); }

  void resize(std::size_t tiles) {
    if (eta0_.size() >= tiles * C()) return;
    for (auto* array : {&eta0_, &r_, &pi_, &Vpi_, &t_}) array->resize(tiles * C());
    for (auto* array : {&w_, &V_}) array->resize(tiles * pairs());
  }

  // eta of tile t at b = Lambda u.
  void predictor(std::size_t t, const vd* b, vd* eta) const {
    for (int c = 0; c < C(); ++c) eta[c] = eta0_[t * C() + c];
    for (int a = 0; a < q(); ++a) eta[at_.z_logit[a]] += z(t, a) * b[a];
  }

  // Of eta, if b changes by d.
  void change(std::size_t t, const vd* d, vd* delta) const {
    std::fill(delta, delta + C(), vd{});
    for (int a = 0; a < q(); ++a) delta[at_.z_logit[a]] += z(t, a) * d[a];
  }

  void add_sums(std::size_t t, const vd* r, const vd* w, vd* rz, vd* wzz) const {
    for (int a = 0; a < q(); ++a) {
      const int j = at_.z_logit[a];
      rz[a] += r[j] * z(t, a);
      for (int c = 0; c <= a; ++c)
        wzz[packed(a, c)] += w[packed(j, at_.z_logit[c])] * z(t, a) * z(t, c);
    }
  }

  // The distinct W z_a of tile t.
  void fill_seconds(std::size_t t, const vd* W, vd* left) const {
    const vd* x = Base::x(t);
    for (int i = 0; i < size(products_.second); ++i) {
      const auto [element, column] = products_.second[i];
      left[i] = W[element] * x[products_.z_single[column]];
    }
  }

  void fill_left(std::size_t t, const vd* Lv, vd* left, Flat& flat) {
    const vd *pi = &pi_[t * C()], *w = &w_[t * pairs()], *x = Base::x(t);
    vd shift[kMaxC] = {}, slope[kMaxC], second[kMaxPairs], third[packed_cube_size(kMaxC)];
    for (int a = 0; a < q(); ++a) shift[at_.z_logit[a]] -= z(t, a) * Lv[a];
    multiply_packed(C(), w, shift, slope);
    for (int c = 0; c < C(); ++c) slope[c] += t_[t * C() + c];
    omega(C(), pi, w, &V_[t * pairs()], &Vpi_[t * C()], slope, second);
    third_cumulants(C(), pi, w, third);

    const vd* wbar = averaged_ ? &wbar_[t * pairs() * (1 + q())] : w;
    const vd* rbar = averaged_ ? &rbar_[t * C()] : &r_[t * C()];
    for (int i = 0; i < pairs(); ++i) flat.weight[i][flat.waiting + t] = second[i] - wbar[i];
    for (int c = 0; c < C(); ++c) flat.r[c][flat.waiting + t] = rbar[c];

    const int seconds = size(products_.second);
    fill_seconds(t, w, left);
    fill_seconds(t, second, left + seconds);
    left += 2 * seconds;
    for (int i = 0; i < size(products_.third); ++i) {
      const auto [element, pair] = products_.third[i];
      const auto [a, b] = products_.z_pairs[pair];
      left[i] = third[element] * (x[a] * x[b]);
    }
  }

  // Weights x columns: products of `height` weights with all columns.
  vd* start_products(int height) {
    products_sum_.assign(static_cast<std::size_t>(height) * at_.columns, vd{});
    return Base::room(height);
  }

  void add_products(const vd* lefts, int height, std::size_t t0, std::size_t tiles) {
    add_cross(lefts, height, Base::x(t0), at_.columns, at_.columns, tiles, products_sum_.data(),
              at_.columns);
  }

  // Rows of `cross` from `first_row` on: number i, logit c is product first + product_of[i * C +
  // c].
  void expand(const std::vector<int>& product_of, int first, int first_row,
              std::vector<vd>& cross) {
    for (int i = 0; i < size(product_of); ++i)
      expand_row(first + product_of[i], first_row + i / C(), i % C(), cross);
  }

  void expand_row(int product, int row, int c, std::vector<vd>& cross) {
    const vd* from = &products_sum_[static_cast<std::size_t>(product) * at_.columns];
    vd* to = &cross[static_cast<std::size_t>(row) * at_.regressors()];
    std::copy(from, from + at_.x_columns, to + c * at_.x_columns);
    std::copy(from + at_.x_columns, from + at_.columns,
              to + at_.p + c * (at_.columns - at_.x_columns));
  }

  Products products_;
  std::vector<vd> eta0_, r_, pi_, Vpi_, t_;  // tiles x C
  std::vector<vd> w_, V_;                    // tiles x pairs of logits
  std::vector<vd> products_sum_;             // weights x columns
  std::vector<vd> r_nodes_, w_nodes_;        // tiles x nodes x C, x pairs
  std::vector<vd> rbar_, wbar_;              // tiles x C, tiles x (1 + q) x pairs: Wbar, W1_a
  bool averaged_ = false;
};

// With two logits, that is three categories, the commonest case.
template <int Q>
using TwoLogitRows = CategoricalRows<2, Q>;

template <int Q>
using AnyLogitRows = CategoricalRows<0, Q>;

}  // namespace multilogit
