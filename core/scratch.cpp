#include "scratch.hpp"

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace multilogit {

namespace {

[[noreturn]] void fail(const std::string& directory, std::size_t bytes, int error) {
  throw std::runtime_error("no scratch file of " + std::to_string(bytes) + " bytes in '" +
                           directory + "': " + std::strerror(error));
}

// A hole would be found too late: when a page of it is written and the disk is full.
int reserve(int file, std::size_t bytes) {
#ifdef __linux__
  return posix_fallocate(file, 0, static_cast<off_t>(bytes));
#else
  return ftruncate(file, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
#endif
}

}  // namespace

void* map_scratch(const std::string& directory, std::size_t bytes) {
  const std::string pattern = directory + "/multilogit-XXXXXX";
  std::vector<char> path(pattern.begin(), pattern.end());
  path.push_back('\0');
  const int file = mkstemp(path.data());
  if (file < 0) fail(directory, bytes, errno);
  unlink(path.data());
  int error = reserve(file, bytes);
  void* block = MAP_FAILED;
  if (error == 0) {
    block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (block == MAP_FAILED) error = errno;
  }
  close(file);
  if (block == MAP_FAILED) fail(directory, bytes, error);
  return block;
}

void unmap_scratch(void* block, std::size_t bytes) { munmap(block, bytes); }

void release_scratch(void* block, std::size_t bytes) { madvise(block, bytes, MADV_DONTNEED); }

void prefetch_scratch(void* block, std::size_t bytes) { madvise(block, bytes, MADV_WILLNEED); }

}  // namespace multilogit

#else

namespace multilogit {

void* map_scratch(const std::string& directory, std::size_t) {
  throw std::runtime_error("no scratch files in '" + directory + "': not on this system");
}
void unmap_scratch(void*, std::size_t) {}
void release_scratch(void*, std::size_t) {}
void prefetch_scratch(void*, std::size_t) {}

}  // namespace multilogit

#endif
