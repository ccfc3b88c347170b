// Which footer of a VHD is the one that counts.
#pragma once

#include <optional>
#include <string>

#include "formats/vhd/layout.h"
#include "lib/image/format.h"
#include "lib/io/file.h"

namespace platter::vhd {

// One's complement of the sum of all bytes but the field's own. bytes: a whole structure; field:
// where its checksum is.
uint32_t checksum_of(Bytes bytes, size_t field);
bool is_sound(const Footer& footer);
bool is_sound(const DynamicHeader& header);
// With its checksum set.
Footer sealed(Footer footer);
DynamicHeader sealed(DynamicHeader header);

struct ChosenFooter {
  Footer footer;
  bool sound = true;     // its checksum is right
  bool trailing = true;  // it stands at the end of the file
  // Bytes in front of the trailing footer; of the whole file when there is none.
  uint64_t data_end = 0;
  // Of a file with a dynamic header: the copy at its start is the same.
  bool copy_fits = true;
};

// A damaged trailing footer gives way to a sound copy at the start; but a fixed disk, which has no
// copy, may begin with a whole VHD that its guest keeps there. Errc::wrong_format: there is none.
Result<ChosenFooter> choose_footer(const File& file, uint64_t file_size);

// sure: one with a right checksum.
Match probe_footer(const ProbeInput& input);

}  // namespace platter::vhd
