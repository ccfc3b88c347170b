// File names as descriptors have them: in any encoding, of any system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace platter::vmdk {

// What a Resolver may be asked for, the likeliest first; none when there is no name. stored: in the
// encoding of that name ("windows-1252"; empty: UTF-8), as Windows, ESX or a Unix calls its files.
// What is no text in that encoding is taken as it is. Absolute names give their last part as well,
// those of Windows nothing else.
std::vector<std::string> references(std::string_view stored, std::string_view encoding);

// In UTF-8, for people.
std::string as_utf8(std::string_view stored, std::string_view encoding);

}  // namespace platter::vmdk
