// What somebody may have meant who mistyped a name.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace platter {

// The name that is most like the word: a letter added, left out, replaced or exchanged with its
// neighbour in every three. Empty: none is, or the word is no name but a book.
std::string_view closest_name(std::string_view word, std::span<const std::string_view> names);

// " (did you mean NAME?)"; empty when nothing is like it.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace platter
