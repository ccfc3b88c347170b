// Result<T> and how an error travels up.
#pragma once

#include <platter/result.h>

// TRY(expr): the value of expr, or return its error from this function.
// Every TRY is a point where the operation may stop: read them as such. Never nested.
#define TRY(...)                                             \
  __extension__({                                            \
    auto try_result_ = (__VA_ARGS__);                        \
    if (!try_result_) return std::move(try_result_.error()); \
    *std::move(try_result_);                                 \
  })

// The same, saying where it happened: TRY_IN(file.name(), parse(...)).
#define TRY_IN(where, ...)                                                 \
  __extension__({                                                          \
    auto try_result_ = (__VA_ARGS__);                                      \
    if (!try_result_) return std::move(try_result_.error()).within(where); \
    *std::move(try_result_);                                               \
  })
