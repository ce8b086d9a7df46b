// Files without a name, mapped into memory: what is too large to stay there. POSIX only.
#pragma once

#include <cstddef>
#include <string>

namespace multilogit {

// A new file of so many bytes in a directory, mapped; it goes when it is unmapped, or with the
// process. Its room on the disk is reserved. Throws std::runtime_error where that fails.
void* map_scratch(const std::string& directory, std::size_t bytes);
void unmap_scratch(void* block, std::size_t bytes);

// Take the pages out of this process; their contents stay.
void release_scratch(void* block, std::size_t bytes);
// Begin to read them.
void prefetch_scratch(void* block, std::size_t bytes);

}  // namespace multilogit
