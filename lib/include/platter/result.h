// Result<T>: a value or an Error. The subset of std::expected we use, under its names, so that it
// can become an alias of it once the oldest supported compiler has one.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace platter {

// What a caller may branch on. Adding a format adds no code here.
enum class Errc : unsigned char {
  io,            // the host refused; sys_errno says why
  not_found,     // a file the image refers to is missing
  denied,        // the Resolver's policy forbids it
  wrong_format,  // the bytes are not this format at all
  corrupt,       // the format's own rules are broken
  unsupported,   // valid, but we do not implement it
  invalid,       // the caller's option, name or size makes no sense
  read_only,     // the image or the view cannot be written
  no_space,      // the host or the format is full
  out_of_range,  // the caller's range is outside the disk
  busy,          // another process holds the image
  no_key,        // the image is encrypted, and its key is missing or wrong
  cancelled,     // the user interrupted
};

class Error {
 public:
  Error(Errc code, std::string message, int sys_errno = 0)
      : code_(code), sys_errno_(sys_errno), message_(std::move(message)) {}

  Errc code() const { return code_; }
  int sys_errno() const { return sys_errno_; }  // 0 when no system call failed
  const std::string& message() const { return message_; }

  // Prepends what the layer above knows: "bat.vdi: block map entry 7: past the end". A file's own
  // errors begin with its name already: what stands at the start is not said twice.
  Error&& within(std::string_view what) && {
    const bool said = message_.starts_with(what) && message_.substr(what.size(), 2) == ": ";
    if (!said) message_.insert(0, ": ").insert(0, what);
    return std::move(*this);
  }

 private:
  Errc code_;
  int sys_errno_;
  std::string message_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  Error& error() { return std::get<1>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  void operator*() const {}
  Error& error() { return *error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace platter
