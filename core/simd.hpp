// Vectors of MULTILOGIT_LANES doubles, by the compiler's own vector extension (GCC, Clang; x86-64
// and AArch64 alike), and the elementary functions that logistic models need.
//
// Everything here is branch-free and does not touch the floating-point environment, so results do
// not depend on the caller's flags, and every lane is independent of its neighbours.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#ifndef MULTILOGIT_LANES
#define MULTILOGIT_LANES 2
#endif

namespace multilogit {

constexpr int kLanes = MULTILOGIT_LANES;
using vd = double __attribute__((vector_size(8 * MULTILOGIT_LANES)));  // lanes of double
using vl =
    std::int64_t __attribute__((vector_size(8 * MULTILOGIT_LANES)));  // lanes of integer; masks

using vf = float __attribute__((vector_size(4 * MULTILOGIT_LANES)));  // lanes of float

inline vd splat(double x) { return x - vd{}; }

inline vd select(vl mask, vd yes, vd no) { return mask ? yes : no; }

inline bool all(vl mask) {
  bool out = true;
  for (int i = 0; i < kLanes; ++i) out = out && mask[i] != 0;
  return out;
}

inline bool any(vl mask) { return !all(~mask); }

inline vl bits(vd x) {
  vl out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

inline vd from_bits(vl x) {
  vd out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

// The first `count` lanes, the rest 0; all of them are one instruction.
template <class V, class T>
V load_lanes(const T* from, int count) {
  V out{};
  if (count == kLanes)
    std::memcpy(&out, from, sizeof out);
  else
    std::memcpy(&out, from, sizeof(T) * count);
  return out;
}
template <class V, class T>
void store_lanes(V x, T* to, int count) {
  if (count == kLanes)
    std::memcpy(to, &x, sizeof x);
  else
    std::memcpy(to, &x, sizeof(T) * count);
}

inline vd abs(vd x) { return from_bits(bits(x) & (INT64_MAX - vl{})); }

// One instruction, which the compiler would have to find in the loop.
inline vd square_root(vd x) {
#if __has_builtin(__builtin_elementwise_sqrt)
  return __builtin_elementwise_sqrt(x);
#elif MULTILOGIT_LANES == 8 && defined(__AVX512F__) && !defined(__clang__)
  return __builtin_ia32_sqrtpd512_mask(x, x, -1, 4);  // all lanes; rounding as it is set
#elif MULTILOGIT_LANES == 4 && defined(__AVX__)
  return __builtin_ia32_sqrtpd256(x);
#else
  vd out{};
  for (int i = 0; i < kLanes; ++i) out[i] = std::sqrt(x[i]);
  return out;
#endif
}

// The same number; the compiler keeps it in a register, where it is used several times, instead of
// reading it from memory each time: two reads per cycle are all there are.
inline vd keep(vd x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

// Sum over lanes, always in the same (pairwise) order: the upper half is added to the lower one.
inline double sum(vd x) {
#if MULTILOGIT_LANES == 8
  const auto y =
      __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
#else
  const auto y = x;
#endif
#if MULTILOGIT_LANES >= 4
  const auto z = __builtin_shufflevector(y, y, 0, 1) + __builtin_shufflevector(y, y, 2, 3);
#else
  const auto z = y;
#endif
  return z[0] + z[1];
}

inline double largest(vd x) {
  double out = x[0];
  for (int i = 1; i < kLanes; ++i) out = x[i] > out ? x[i] : out;
  return out;
}

// Lane j of the result: the sum over the lanes of x[j], j < kLanes. Half as long as so many `sum`s.
inline vd sums(const vd* x) {
#if MULTILOGIT_LANES == 8
  const auto twos = [](vd a, vd b) {
    return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
           __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  };
  const auto fours = [](vd a, vd b) {
    return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  };
  const vd a = fours(twos(x[0], x[1]), twos(x[2], x[3]));
  const vd b = fours(twos(x[4], x[5]), twos(x[6], x[7]));
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
#elif MULTILOGIT_LANES == 4
  const auto twos = [](vd a, vd b) {
    return __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  };
  const vd a = twos(x[0], x[1]), b = twos(x[2], x[3]);
  return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
#else
  return __builtin_shufflevector(x[0], x[1], 0, 2) + __builtin_shufflevector(x[0], x[1], 1, 3);
#endif
}

// e^x for x <= 0, to 1 ulp. Below -708 the result stays at e^-708 (3e-308): a positive normal
// number, so that weights never become zero or subnormal.
inline vd exp_negative(vd x) {
  constexpr double kLog2E = 1.4426950408889634074;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // trailing zeros: n * kLn2High is exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  x = select(x < -708.0, splat(-708.0), x);
  const vd shifted = x * kLog2E + kRound;
  const vd n = shifted - kRound;
  const vd r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln 2 / 2
  // e^r = 1 + r + r^2 P(r); P: Chebyshev interpolation, error 1.3e-17
  vd p = r * 2.5100385495510319078e-8 + 2.7620088445409748161e-7;
  p = p * r + 2.7557268459997064772e-6;
  p = p * r + 2.4801521295954375131e-5;
  p = p * r + 1.9841269863053616878e-4;
  p = p * r + 1.3888888917213716901e-3;
  p = p * r + 8.3333333333300618325e-3;
  p = p * r + 4.1666666666624127873e-2;
  p = p * r + 1.6666666666666667453e-1;
  p = p * r + 0.5;
  const vd e = (p * (r * r) + r) + 1.0;
  return from_bits(bits(e) + (bits(shifted) << 52));  // times 2^n: n sits in the low bits
}

constexpr double kLn2 = 0.69314718055994530942;

// log x for x = (1 + s) / (1 - s) between sqrt(1/2) and sqrt(2): 2 atanh s.
inline vd log_of_ratio(vd s) {
  const vd z = s * s;  // <= 0.02944
  vd p = z * 7.3082420991833015785e-2 + 7.6658594041400354306e-2;
  p = p * z + 9.0914446046332980504e-2;
  p = p * z + 1.1111105566821042194e-1;
  p = p * z + 1.4285714312991274103e-1;
  p = p * z + 1.9999999999949744459e-1;
  p = p * z + 3.3333333333333348434e-1;
  return 2.0 * (s + s * z * p);
}

// log(1 + t) for 0 <= t <= 1, to 1 ulp, relative also near 0.
// log(1 + t) = 2 atanh s, s = t / (2 + t); beyond sqrt(2) - 1 first halve: s = (t - 1) / (t + 3).
inline vd log1p_unit(vd t) {
  const vl large = t > 0.41421356237309503;
  const vd s = select(large, t - 1.0, t) / select(large, t + 3.0, t + 2.0);
  return log_of_ratio(s) + select(large, splat(kLn2), vd{});
}

// log x of normal numbers, to 1 ulp; NaN of everything else: 0, negative, infinite.
// x = 2^k m: log x = k log 2 + 2 atanh((m - 1) / (m + 1)).
inline vd logarithm(vd x) {
  const vl known = (x > 0.0) & (x < std::numeric_limits<double>::infinity());
  const vl half = bits(x) + (bits(splat(1.0)) - bits(splat(0.70710678118654757)));
  const vl k = (half >> 52) - 1023;
  const vd m = from_bits(bits(x) - (k << 52));  // from sqrt(1/2) on, below sqrt(2)
  const vd log = __builtin_convertvector(k, vd) * kLn2 + log_of_ratio((m - 1.0) / (m + 1.0));
  return select(known, log, splat(std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace multilogit
