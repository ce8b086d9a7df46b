// The rows of leaves with a categorical response: any number of logits.
#pragma once

#include "categorical.hpp"
#include "nested_rows.hpp"

namespace multilogit {

class CategoricalLeaves : public LeafRows {
 public:
  using LeafRows::LeafRows;

  void open(SlotRows& rows) override {
    rows_ = &rows;
    resize(r_, rows.tiles * logits());
    resize(pi_, rows.tiles * logits());
    resize(w_, rows.tiles * pairs());
  }

  void score(const LeafBlock& block, const vd* shift, vd* R, vd* V) override {
    vd out[kMaxPath + packed_size(kMaxPath)];
    const auto pass = [=, this](std::size_t tile, std::size_t tiles, const vd* s, vd* sums) {
      vd eta[kMaxLogits], pi[kMaxLogits], r[kMaxLogits], w[packed_size(kMaxLogits)];
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        predictor(t, s, eta);
        categorical_score(logits(), eta, y(t), data_.n[t], pi, r, w);
        add_sums(t, r, w, sums);
      }
    };
    over_rows(block, shift, zs(), out, zs() + ss(), pass);
    std::copy_n(out, zs(), R);
    std::copy_n(out + zs(), ss(), V);
  }

  vd differentiate(const LeafBlock& block, const vd* shift, vd* R, vd* cross,
                   SumOfLogs& logs) override {
    const auto derive = [&, this](std::size_t t, const vd* s, vd* out) {
      vd eta[kMaxLogits], r[kMaxLogits];
      const std::size_t i = row(t);
      predictor(t, s, eta);
      const auto [linear, rest] =
          categorical_terms(logits(), eta, y(t), data_.n[t], pi(i), r, w(i));
      add_log(t, rest, log1p_sum, logs);
      out[0] += linear;
      for (int c = 0; c < logits(); ++c) r_[c * rows_->tiles + i] = r[c];
    };
    return sum_rows(block, shift, derive, R, cross);
  }

  void sum_again(const LeafBlock& block, vd* R, vd* cross) override {
    sum_rows(block, nullptr, [](std::size_t, const vd*, vd*) {}, R, cross);
  }

  void third(const LeafBlock& block, const vd* K, vd* sigma) override {
    const auto pass = [=, this](std::size_t tile, std::size_t tiles, const vd* k, vd* out) {
      vd V[packed_size(kMaxLogits)], Vpi[kMaxLogits], third[kMaxLogits];
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        form(t, k, V);
        third_of_form(logits(), pi(row(t)), w(row(t)), V, Vpi, third);
        for (int c = 0; c < zs(); ++c) out[c] += third[logit(c)] * zeta(t, c);
      }
    };
    over_rows(block, K, ss(), sigma, zs(), pass);
  }

  void weigh(const LeafBlock& block, const vd* K, const vd* turn, vd weight, vd* omega_z) override {
    in_.assign(K, K + ss());
    in_.insert(in_.end(), turn, turn + zs());
    in_.push_back(weight);
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* in, vd* out) {
      vd Omega[packed_size(kMaxLogits)];
      add_products(tile, tiles, zs() * logits(), out, [&, this](std::size_t t, vd* left) {
        const std::size_t i = row(t);
        curvature(t, in, in + ss(), Omega);
        for (int c = 0; c < zs(); ++c) weigh_zeta(Omega, zeta(t, c), c, left);
        for (int c = 0; c < pairs(); ++c) {
          vd& sum = rows_->weight[c * rows_->tiles + i];
          const vd before = alone_ ? -w(i)[c] : sum;
          sum = before + in[ss() + zs()] * Omega[c];
        }
      });
    };
    over_rows(block, in_.data(), ss() + zs() + 1, omega_z, zs() * at_.width(), pass);
  }

  void node_values(const LeafBlock& block, const LeafNodes& nodes, const vd* shift, const vd* step,
                   bool keep, vd* out) override {
    const int K = nodes.rule.count(), q = nodes.effects, C = logits();
    const std::size_t first = block.tile[0];
    if (keep) open_nodes(block, K);
    in_.assign(shift, shift + zs());
    in_.insert(in_.end(), step, step + zs() * q);
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* in, vd* sums) {
      vd eta[kMaxLogits], steps[kMaxEffects * kMaxLogits], there[kMaxLogits];
      vd pi[kMaxLogits], r[kMaxLogits], w[packed_size(kMaxLogits)];
      node_logs_.assign(K, SumOfLogs{});
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        predictor(t, in, eta);
        std::fill(steps, steps + q * C, vd{});
        for (int c = 0; c < zs(); ++c)
          for (int a = 0; a < q; ++a) steps[a * C + logit(c)] += zeta(t, c) * in[zs() + c * q + a];
        for (int j = 0; j < K; ++j) {
          std::copy_n(eta, C, there);
          for (int a = 0; a < q; ++a)
            for (int c = 0; c < C; ++c) there[c] += nodes.rule.nodes[j * q + a] * steps[a * C + c];
          const auto [linear, rest] = categorical_terms(C, there, y(t), data_.n[t], pi, r, w);
          add_log(t, rest, log1p_sum, node_logs_[j]);
          sums[j] += linear;
          if (!keep) continue;
          std::copy_n(r, C, &r_nodes_[((t - first) * K + j) * C]);
          std::copy_n(w, pairs(), &w_nodes_[((t - first) * K + j) * pairs()]);
          add_sums(t, r, w, sums + K + j * (zs() + ss()));
        }
      }
      for (int j = 0; j < K; ++j) sums[j] -= node_logs_[j].total();
    };
    over_rows(block, in_.data(), zs() * (1 + q), out, keep ? K * (1 + zs() + ss()) : K, pass);
  }

  void average(const LeafBlock& block, const LeafNodes& nodes, const vd* p, vd weight,
               vd* average) override {
    const int K = nodes.rule.count(), q = nodes.effects, C = logits();
    const int height = zs() * (1 + q) + K;
    const std::size_t first = block.tile[0];
    in_.assign(p, p + K);
    in_.push_back(weight);
    moments_.resize((1 + q) * pairs());
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* in, vd* out) {
      add_products(tile, tiles, height * C, out, [&, this](std::size_t t, vd* left) {
        average_nodes(nodes, &w_nodes_[(t - first) * K * pairs()], in);
        for (int a = 0; a <= q; ++a)
          for (int c = 0; c < zs(); ++c)
            weigh_zeta(&moments_[a * pairs()], zeta(t, c), c, left + a * zs() * C);
        std::copy_n(&r_nodes_[(t - first) * K * C], K * C, left + zs() * (1 + q) * C);
        for (int c = 0; c < pairs(); ++c)
          rows_->weight[c * rows_->tiles + row(t)] -= in[K] * moments_[c];
      });
    };
    over_rows(block, in_.data(), K + 1, average, height * at_.width(), pass);
  }

 private:
  int logits() const { return at_.logits; }
  int pairs() const { return packed_size(at_.logits); }
  int zs() const { return at_.zs(); }
  int ss() const { return packed_size(zs()); }
  int logit(int c) const { return at_.zeta_logit[c]; }
  vd zeta(std::size_t t, int c) const { return column(t, at_.zeta[c]); }
  const vd* y(std::size_t t) const { return data_.y + t * logits(); }
  vd* pi(std::size_t i) { return &pi_[i * logits()]; }
  vd* w(std::size_t i) { return &w_[i * pairs()]; }

  void predictor(std::size_t t, const vd* shift, vd* eta) const {
    std::copy_n(&rows_->eta0[row(t) * logits()], logits(), eta);
    for (int c = 0; c < zs(); ++c) eta[logit(c)] += zeta(t, c) * shift[c];
  }

  // r zeta, then w zeta zeta'.
  void add_sums(std::size_t t, const vd* r, const vd* w, vd* out) const {
    vd* V = out + zs();
    for (int c = 0; c < zs(); ++c) {
      const vd z = zeta(t, c);
      out[c] += r[logit(c)] * z;
      for (int e = 0; e <= c; ++e) *V++ += w[packed(logit(c), logit(e))] * (z * zeta(t, e));
    }
  }

  // left: for every logit, M times zeta c.
  void weigh_zeta(const vd* M, vd z, int c, vd* left) const {
    for (int l = 0; l < logits(); ++l) left[c * logits() + l] = M[packed(logit(c), l)] * z;
  }

  // V = Z K Z' of a row, packed.
  void form(std::size_t t, const vd* K, vd* V) const {
    std::fill(V, V + pairs(), vd{});
    for (int c = 0; c < zs(); ++c)
      for (int e = 0; e <= c; ++e)
        V[packed(logit(c), logit(e))] += *K++ * (zeta(t, c) * zeta(t, e));
  }

  // Omega = kappa4(., ., V) - kappa3(., ., Z turn)
  void curvature(std::size_t t, const vd* K, const vd* turn, vd* Omega) {
    vd V[packed_size(kMaxLogits)], Vpi[kMaxLogits], s[kMaxLogits], av[kMaxLogits], wav[kMaxLogits];
    const vd *p = pi(row(t)), *weights = w(row(t));
    form(t, K, V);
    third_of_form(logits(), p, weights, V, Vpi, s);
    std::fill(av, av + logits(), vd{});
    for (int c = 0; c < zs(); ++c) av[logit(c)] += zeta(t, c) * turn[c];
    multiply_packed(logits(), weights, av, wav);
    for (int c = 0; c < logits(); ++c) s[c] -= wav[c];
    omega(logits(), p, weights, V, Vpi, s, Omega);
  }

  // Calls derive(tile, shift, out) for every tile first; out[0] is what it adds up.
  template <class Derive>
  vd sum_rows(const LeafBlock& block, const vd* shift, const Derive& derive, vd* R, vd* cross) {
    const int C = logits(), height = zs() + ss(), n_in = shift == nullptr ? 0 : zs();
    const int n_out = 1 + zs() + height * at_.width();
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* s, vd* out) {
      vd cubes[packed_cube_size(kMaxLogits)];
      add_products(tile, tiles, height * C, out + 1 + zs(), [&, this](std::size_t t, vd* left) {
        derive(t, s, out);
        const std::size_t i = row(t);
        third_cumulants(C, pi(i), w(i), cubes);
        vd* third = left + zs() * C;
        for (int c = 0; c < zs(); ++c) {
          const vd z = zeta(t, c);
          out[1 + c] += r_[logit(c) * rows_->tiles + i] * z;
          weigh_zeta(w(i), z, c, left);
          for (int e = 0; e <= c; ++e) {
            const vd zz = z * zeta(t, e);
            for (int l = 0; l < C; ++l) *third++ = cubes[packed(logit(c), logit(e), l)] * zz;
          }
        }
      });
    };
    resize(out_, n_out);
    over_rows(block, shift, n_in, out_.data(), n_out, pass);
    std::copy_n(out_.data() + 1, zs(), R);
    std::copy_n(out_.data() + 1 + zs(), height * at_.width(), cross);
    return out_[0];
  }

  void open_nodes(const LeafBlock& block, int K) {
    const std::size_t tiles = block.tile[block.groups_in_lanes ? 1 : block.leaves] - block.tile[0];
    resize(r_nodes_, tiles * K * logits());
    resize(w_nodes_, tiles * K * pairs());
  }

  // sum_j p_j w_j and, for every effect a, sum_j p_j x_ja w_j.
  void average_nodes(const LeafNodes& nodes, const vd* w, const vd* p) {
    const int q = nodes.effects;
    std::fill(moments_.begin(), moments_.end(), vd{});
    for (int j = 0; j < nodes.rule.count(); ++j)
      for (int c = 0; c < pairs(); ++c) {
        const vd pw = p[j] * *w++;
        moments_[c] += pw;
        for (int a = 0; a < q; ++a)
          moments_[(1 + a) * pairs() + c] += pw * nodes.rule.nodes[j * q + a];
      }
  }

  std::vector<vd> pi_;  // tiles x logits
  std::vector<vd> w_;   // tiles x pairs of logits
  std::vector<vd> r_nodes_, w_nodes_, moments_;
};

}  // namespace multilogit
