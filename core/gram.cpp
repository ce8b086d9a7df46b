// All products keep a block of accumulators in registers and run over the tiles innermost, so that
// one load of x serves several multiply-adds.
#include "gram.hpp"

#include <algorithm>

namespace multilogit {

namespace {

// Sixteen accumulators fit the 32 registers of AVX-512, eight the 16 of older sets.
constexpr std::size_t kBlockLeft = 4;
constexpr std::size_t kBlockRight = kLanes >= 8 ? 4 : 2;

// acc[j][k] = sum_t left(t, j) * x[t][k0 + k], handed to store(j, k, acc).
template <int J, int K, class Left, class Store>
void block(const vd* x, std::size_t stride, std::size_t tiles, std::size_t k0, const Left& left,
           const Store& store) {
  vd acc[J][K] = {};
  for (std::size_t t = 0; t < tiles; ++t) {
    const vd* row = x + t * stride + k0;
    vd l[J];
    for (int j = 0; j < J; ++j) l[j] = left(t, j);
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < J; ++j) acc[j][k] += l[j] * row[k];
  }
  for (int j = 0; j < J; ++j)
    for (int k = 0; k < K; ++k) store(j, k, acc[j][k]);
}

template <int J, class... Args>
void block_of_width(std::size_t width, const Args&... args) {
  switch (width) {
    case 1: return block<J, 1>(args...);
    case 2: return block<J, 2>(args...);
    case 3: return block<J, 3>(args...);
    default: return block<J, 4>(args...);
  }
}

template <class... Args>
void block_of_size(std::size_t height, std::size_t width, const Args&... args) {
  switch (height) {
    case 1: return block_of_width<1>(width, args...);
    case 2: return block_of_width<2>(width, args...);
    case 3: return block_of_width<3>(width, args...);
    default: return block_of_width<4>(width, args...);
  }
}

// What becomes of the lanes of a sum.
void accumulate(vd sum, vd& out) { out += sum; }
void accumulate(vd sum, double& out) { out += multilogit::sum(sum); }

template <class S>
void cross_products(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
                    std::size_t tiles, S* out, std::size_t ld) {
  for (std::size_t k0 = 0; k0 < p; k0 += kBlockRight) {
    for (std::size_t a0 = 0; a0 < height; a0 += kBlockLeft) {
      const auto left = [=](std::size_t t, int a) { return v[t * height + a0 + a]; };
      const auto store = [=](int a, int k, vd acc) {
        accumulate(acc, out[(a0 + a) * ld + k0 + k]);
      };
      block_of_size(std::min(kBlockLeft, height - a0), std::min(kBlockRight, p - k0), x, stride,
                    tiles, k0, left, store);
    }
  }
}

}  // namespace

void add_gram(const vd* x, std::size_t stride, std::size_t p, const vd* w, std::size_t tiles,
              double* out, std::size_t ld) {
  for (std::size_t j0 = 0; j0 < p; j0 += kBlockLeft) {
    const std::size_t height = std::min(kBlockLeft, p - j0);
    const auto left = [=](std::size_t t, int j) { return w[t] * x[t * stride + j0 + j]; };
    for (std::size_t k0 = j0 / kBlockRight * kBlockRight; k0 < p; k0 += kBlockRight) {
      const auto store = [=](int j, int k, vd acc) {
        accumulate(acc, out[(j0 + j) * ld + k0 + k]);
      };
      block_of_size(height, std::min(kBlockRight, p - k0), x, stride, tiles, k0, left, store);
    }
  }
}

void add_product(const vd* x, std::size_t stride, std::size_t p, const vd* r, std::size_t tiles,
                 double* out) {
  const auto left = [=](std::size_t t, int) { return r[t]; };
  for (std::size_t k0 = 0; k0 < p; k0 += 4) {
    const auto store = [=](int, int k, vd acc) { accumulate(acc, out[k0 + k]); };
    block_of_width<1>(std::min<std::size_t>(4, p - k0), x, stride, tiles, k0, left, store);
  }
}

void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, vd* out, std::size_t ld) {
  cross_products(v, height, x, stride, p, tiles, out, ld);
}

void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, double* out, std::size_t ld) {
  cross_products(v, height, x, stride, p, tiles, out, ld);
}

void add_outers(std::initializer_list<Outer> terms, double factor, int size, vd* out) {
  constexpr int kLeft = kBlockLeft, kRight = kBlockRight;
  for (int j0 = 0; j0 < size; j0 += kLeft)
    for (int k0 = j0; k0 < size; k0 += kRight) {
      vd acc[kLeft][kRight] = {};
      for (const auto& [left, right, height] : terms)
        for (int i = 0; i < height; ++i)
          for (int k = 0; k < kRight; ++k)
            for (int j = 0; j < kLeft; ++j)
              acc[j][k] += left[i * size + j0 + j] * right[i * size + k0 + k];
      for (int j = 0; j < kLeft; ++j)
        for (int k = 0; k < kRight; ++k) out[(j0 + j) * size + k0 + k] += factor * acc[j][k];
    }
}

}  // namespace multilogit
