// How an error leaves a C function.
#pragma once

#include <platter.h>

#include <exception>
#include <new>

#include <platter/virtual_disk.h>

#include "lib/base/result.h"

namespace platter::api {

// Remembers the error for platter_last_error(), and gives its status.
int failed(const Error& error) noexcept;
int out_of_memory() noexcept;

// Calls what gives a Result<void>; no exception leaves.
template <class Call>
int status_of(Call&& call) noexcept {
  try {
    const Result<void> done = call();
    return done ? PLATTER_OK : failed(done.error());
  } catch (const std::exception&) {
    return out_of_memory();
  }
}

inline Error missing_argument() { return {Errc::invalid, "an argument is missing"}; }

// "key=value" each, ended by null; null: none.
Result<std::vector<std::pair<std::string, std::string>>> pairs_of(const char* const* words);
Result<OpenFlags> flags_of(uint32_t bits);
Result<NewImageOf> new_image_of(const platter_new_image* image);
Result<OpenImage> image_of(const char* path, const char* format, uint32_t flags,
                           const char* passphrase);

}  // namespace platter::api
