// Which instruction levels of the core this machine can run. Compiled for the oldest level, and
// asked before any other part of the core is loaded.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

namespace nb = nanobind;

namespace {

#if defined(__x86_64__) || defined(_M_X64)

// The instruction sets of the x86-64 psABI levels that compilers make use of; the operating
// system's support for the wider registers is part of the answer.
bool has_v2() {
  return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") &&
         __builtin_cpu_supports("popcnt");
}

bool has_v3() {
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

std::vector<std::string> machine_levels() {
  __builtin_cpu_init();
  std::vector<std::string> levels;
  if (has_v2()) levels.push_back("v2");
  if (has_v3()) levels.push_back("v3");
  if (has_v4()) levels.push_back("v4");
  return levels;
}

#else

std::vector<std::string> machine_levels() { return {"generic"}; }

#endif

std::vector<std::string> supported_levels() {
  const std::string built = "," MULTILOGIT_LEVELS ",";
  std::vector<std::string> levels;
  for (const std::string& level : machine_levels())
    if (built.find("," + level + ",") != std::string::npos) levels.push_back(level);
  return levels;
}

}  // namespace

NB_MODULE(_cpu, m) {
  m.def("supported_levels", &supported_levels,
        "Instruction levels that are built and that this machine can run, the fastest last.");
}
