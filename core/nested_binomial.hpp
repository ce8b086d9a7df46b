// The rows of leaves with a binomial response: one logit.
#pragma once

#include "binomial.hpp"
#include "nested_rows.hpp"

namespace multilogit {

// Z: distinct columns of Z, Q: effects of a leaf; 0: any number.
template <int Z, int Q>
class BinomialLeaves : public LeafRows {
 public:
  using LeafRows::LeafRows;

  void open(SlotRows& rows) override {
    rows_ = &rows;
    for (auto* array : {&r_, &w_, &w3_}) resize(*array, rows.tiles);
    if (!alone_) resize(own_w4_, rows.tiles);
    w4_ = alone_ ? rows.weight.data() : own_w4_.data();
  }

  void score(const LeafBlock& block, const vd* shift, vd* R, vd* V) override {
    vd out[kMaxZ + kMaxS];
    const auto pass = [=, this](std::size_t tile, std::size_t tiles, const vd* s, vd* sums) {
      vd r[kMaxZ] = {}, w[kMaxS] = {};
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        const BinomialScore row = binomial_score(predictor(t, s), data_.y[t], data_.n[t]);
        for (int c = 0; c < zs(); ++c) {
          r[c] += row.r * zeta(t, c);
          const vd wz = row.w * zeta(t, c);
          for (int e = 0; e <= c; ++e) w[packed(c, e)] += wz * zeta(t, e);
        }
      }
      for (int c = 0; c < zs(); ++c) sums[c] += r[c];
      for (int c = 0; c < ss(); ++c) sums[zs() + c] += w[c];
    };
    over_rows(block, shift, zs(), out, zs() + ss(), pass);
    std::copy_n(out, zs(), R);
    std::copy_n(out + zs(), ss(), V);
  }

  vd differentiate(const LeafBlock& block, const vd* shift, vd* R, vd* cross,
                   SumOfLogs& logs) override {
    const auto derive = [&, this](std::size_t t, const vd* s, vd* out) {
      const BinomialTerms row = binomial_terms(predictor(t, s), data_.y[t], data_.n[t]);
      add_log(t, row.t, log1p_unit, logs);
      const std::size_t i = this->row(t);
      r_[i] = row.r;
      w_[i] = row.w;
      w3_[i] = row.w3;
      w4_[i] = row.w4;
      out[0] += row.linear;
    };
    return sum_rows(block, shift, derive, R, cross);
  }

  void sum_again(const LeafBlock& block, vd* R, vd* cross) override {
    sum_rows(block, nullptr, [](std::size_t, const vd*, vd*) {}, R, cross);
  }

  // w4 becomes w4 h.
  void third(const LeafBlock& block, const vd* K, vd* sigma) override {
    const auto pass = [=, this](std::size_t tile, std::size_t tiles, const vd* k, vd* out) {
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        vd h{};
        for (int c = 0; c < zs(); ++c) {
          vd kz{};
          for (int e = 0; e <= c; ++e) kz += k[packed(c, e)] * zeta(t, e);
          h += kz * zeta(t, c);
        }
        w4_[row(t)] *= h;
        const vd w3h = w3_[row(t)] * h;
        for (int c = 0; c < zs(); ++c) out[c] += w3h * zeta(t, c);
      }
    };
    over_rows(block, K, ss(), sigma, zs(), pass);
  }

  void weigh(const LeafBlock& block, const vd*, const vd* turn, vd weight, vd* omega_z) override {
    vd in[kMaxZ + 1];
    std::copy_n(turn, zs(), in);
    in[zs()] = weight;
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* t_w, vd* out) {
      add_products(tile, tiles, zs(), out, [&, this](std::size_t t, vd* left) {
        const std::size_t i = row(t);
        vd av{};
        for (int c = 0; c < zs(); ++c) av += zeta(t, c) * t_w[c];
        const vd omega = w4_[i] - w3_[i] * av;
        for (int c = 0; c < zs(); ++c) left[c] = omega * zeta(t, c);
        const vd before = alone_ ? -w_[i] : rows_->weight[i];
        rows_->weight[i] = before + t_w[zs()] * omega;
      });
    };
    over_rows(block, in, zs() + 1, omega_z, zs() * at_.width(), pass);
  }

  void node_values(const LeafBlock& block, const LeafNodes& nodes, const vd* shift, const vd* step,
                   bool keep, vd* out) override {
    const int K = nodes.rule.count(), n_in = zs() * (1 + q(nodes));
    const std::size_t first = block.tile[0];
    if (keep) open_nodes(block, K);
    in_.assign(shift, shift + zs());
    in_.insert(in_.end(), step, step + zs() * q(nodes));
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* in, vd* sums) {
      node_logs_.assign(K, SumOfLogs{});
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        const vd eta = predictor(t, in);
        vd steps[kMaxQ] = {};
        for (int a = 0; a < q(nodes); ++a)
          for (int c = 0; c < zs(); ++c) steps[a] += zeta(t, c) * in[zs() + c * q(nodes) + a];
        const double* x = nodes.rule.nodes.data();
        for (int j = 0; j < K; ++j, x += q(nodes)) {
          vd there = eta;
          for (int a = 0; a < q(nodes); ++a) there += x[a] * steps[a];
          const BinomialTerms row = binomial_terms(there, data_.y[t], data_.n[t]);
          add_log(t, row.t, log1p_unit, node_logs_[j]);
          sums[j] += row.linear;
          if (!keep) continue;
          r_nodes_[(t - first) * K + j] = row.r;
          w_nodes_[(t - first) * K + j] = row.w;
          add_node_sums(t, row.r, row.w, sums + K + j * (zs() + ss()));
        }
      }
      for (int j = 0; j < K; ++j) sums[j] -= node_logs_[j].total();
    };
    over_rows(block, in_.data(), n_in, out, keep ? K * (1 + zs() + ss()) : K, pass);
  }

  void average(const LeafBlock& block, const LeafNodes& nodes, const vd* p, vd weight,
               vd* average) override {
    const int K = nodes.rule.count(), height = zs() * (1 + q(nodes)) + K;
    const std::size_t first = block.tile[0];
    in_.assign(p, p + K);
    in_.push_back(weight);
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* in, vd* out) {
      add_products(tile, tiles, height, out, [&, this](std::size_t t, vd* left) {
        const std::size_t at = (t - first) * K;
        vd w[1 + kMaxQ] = {}, *r = left + zs() * (1 + q(nodes));
        const double* x = nodes.rule.nodes.data();
        for (int j = 0; j < K; ++j, x += q(nodes)) {
          const vd pw = in[j] * w_nodes_[at + j];
          w[0] += pw;
          for (int a = 0; a < q(nodes); ++a) w[1 + a] += pw * x[a];
          r[j] = r_nodes_[at + j];
        }
        for (int a = 0; a <= q(nodes); ++a)
          for (int c = 0; c < zs(); ++c) left[a * zs() + c] = w[a] * zeta(t, c);
        rows_->weight[row(t)] -= in[K] * w[0];
      });
    };
    over_rows(block, in_.data(), K + 1, average, height * at_.width(), pass);
  }

 private:
  static constexpr int kMaxZ = Z > 0 ? Z : kMaxPath;
  static constexpr int kMaxS = packed_size(kMaxZ);
  static constexpr int kMaxQ = Q > 0 ? Q : kMaxEffects;

  int zs() const { return Z > 0 ? Z : at_.zs(); }
  int ss() const { return packed_size(zs()); }
  int q(const LeafNodes& nodes) const { return Q > 0 ? Q : nodes.effects; }
  vd zeta(std::size_t t, int c) const { return column(t, at_.zeta[c]); }

  vd predictor(std::size_t t, const vd* shift) const {
    vd eta = rows_->eta0[row(t)];
    for (int c = 0; c < zs(); ++c) eta += zeta(t, c) * shift[c];
    return eta;
  }

  // Calls derive(tile, shift, out) for every tile first; out[0] is what it adds up.
  template <class Derive>
  vd sum_rows(const LeafBlock& block, const vd* shift, const Derive& derive, vd* R, vd* cross) {
    const int columns = at_.columns, height = zs() + ss(), n_in = shift == nullptr ? 0 : zs();
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* s, vd* out) {
      add_products(tile, tiles, height, out + 1 + zs(), [&, this](std::size_t t, vd* left) {
        derive(t, s, out);
        const std::size_t i = row(t);
        for (int c = 0; c < zs(); ++c) {
          out[1 + c] += r_[i] * zeta(t, c);
          left[c] = w_[i] * zeta(t, c);
          const vd w3z = w3_[i] * zeta(t, c);
          for (int e = 0; e <= c; ++e) left[zs() + packed(c, e)] = w3z * zeta(t, e);
        }
      });
    };
    resize(out_, 1 + zs() + height * columns);
    over_rows(block, shift, n_in, out_.data(), 1 + zs() + height * columns, pass);
    std::copy_n(out_.data() + 1, zs(), R);
    std::copy_n(out_.data() + 1 + zs(), height * columns, cross);
    return out_[0];
  }

  void open_nodes(const LeafBlock& block, int K) {
    const std::size_t tiles = block.tile[block.groups_in_lanes ? 1 : block.leaves] - block.tile[0];
    for (auto* array : {&r_nodes_, &w_nodes_}) resize(*array, tiles * K);
  }

  void add_node_sums(std::size_t t, vd r, vd w, vd* out) const {
    for (int c = 0; c < zs(); ++c) {
      out[c] += r * zeta(t, c);
      const vd wz = w * zeta(t, c);
      for (int e = 0; e <= c; ++e) out[zs() + packed(c, e)] += wz * zeta(t, e);
    }
  }

  std::vector<vd> w_, w3_, own_w4_, r_nodes_, w_nodes_;
  vd* w4_ = nullptr;
};

}  // namespace multilogit
