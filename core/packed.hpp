// Where the elements of symmetric matrices and cubes stand when each is stored once.
#pragma once

namespace multilogit {

// Element (j, l) of a symmetric matrix: lower triangle, row by row.
constexpr int packed(int j, int l) { return j >= l ? j * (j + 1) / 2 + l : l * (l + 1) / 2 + j; }

constexpr int packed_size(int n) { return n * (n + 1) / 2; }

// Element (j, l, m) of a symmetric cube: those with j >= l >= m, matrix by matrix.
constexpr int packed(int j, int l, int m) {
  const int largest = j > l ? (j > m ? j : m) : (l > m ? l : m);
  const int least = j < l ? (j < m ? j : m) : (l < m ? l : m);
  const int middle = j + l + m - largest - least;
  return largest * (largest + 1) * (largest + 2) / 6 + packed(middle, least);
}

constexpr int packed_cube_size(int n) { return n * (n + 1) * (n + 2) / 6; }

}  // namespace multilogit
