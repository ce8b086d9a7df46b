// The elimination of a node's own effects (docs/mathematics.md, section 8).
//
// With T of nested_point.hpp, a node tells its parent what its rows know about the shift s of
// their predictors that its ancestors make (eta = ... + zeta's): the information V = sum w zeta
// zeta', and what is left of it when the node's own effects are eliminated,
//
//   H = I + T'VT = LL',   X = H^-1 T'V,   J = I - TX,   V- = VJ,
//
// so the work per node does not depend on depth. Downwards, u given s has mean -X s.
#pragma once

#include "packed.hpp"
#include "simd.hpp"
#include "small_cholesky.hpp"

namespace multilogit {

template <int MaxZ, int MaxQ>
struct Elimination {
  SmallCholesky<MaxQ, vd> H;
  vd X[MaxQ * MaxZ];  // q x zs
  vd J[MaxZ * MaxZ];
  vd V[packed_size(MaxZ)];  // V-

  // T: zs x q; information: V.
  void factor(const double* T, int zs, int q, const vd* information) {
    vd VT[MaxZ * MaxQ], TVT[MaxQ * MaxQ];
    for (int c = 0; c < zs; ++c)
      for (int a = 0; a < q; ++a) {
        vd sum{};
        for (int e = 0; e < zs; ++e) sum += information[packed(c, e)] * T[e * q + a];
        VT[c * MaxQ + a] = sum;
      }
    for (int a = 0; a < q; ++a)
      for (int g = 0; g <= a; ++g) {
        vd h = vd{} + (a == g ? 1.0 : 0.0);
        for (int c = 0; c < zs; ++c) h += T[c * q + a] * VT[c * MaxQ + g];
        TVT[a * MaxQ + g] = h;
      }
    H.factor(TVT, q);
    for (int c = 0; c < zs; ++c) {
      vd x[MaxQ];
      for (int a = 0; a < q; ++a) x[a] = VT[c * MaxQ + a];
      H.solve(x, q);
      for (int a = 0; a < q; ++a) X[a * zs + c] = x[a];
    }
    shrink(T, zs, q, information, VT);
  }

 private:
  // J and V-. With one column nothing need cancel: J = 1 / (1 + V TT').
  void shrink(const double* T, int zs, int q, const vd* information, const vd* VT) {
    if (zs == 1) {
      vd h = vd{} + 1.0;
      for (int a = 0; a < q; ++a) h += VT[a] * T[a];
      J[0] = 1.0 / h;
      V[0] = information[0] * J[0];
      return;
    }
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e < zs; ++e) {
        vd j = vd{} + (c == e ? 1.0 : 0.0);
        for (int a = 0; a < q; ++a) j -= T[c * q + a] * X[a * zs + e];
        J[c * zs + e] = j;
      }
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e <= c; ++e) {
        vd v = information[packed(c, e)];
        for (int a = 0; a < q; ++a) v -= VT[c * MaxQ + a] * X[a * zs + e];
        V[packed(c, e)] = v;
      }
  }
};

}  // namespace multilogit
