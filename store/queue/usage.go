package queue

// Usage tells how many segments the queue in dir has, and how many bytes their
// files take together, a live one's reserved space included. It takes no lock and
// opens no segment.
func Usage(dir string) (segments int, bytes int64, err error) {
	files, err := segmentFiles(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		bytes += f.Size
	}
	return len(files), bytes, nil
}

// Newest gives the sequence of the newest record that the queue in dir has, and the
// largest Time of the segment that it is in; 0 and 0 when it has none. It takes no lock.
func Newest(dir string) (seq uint64, time int64, err error) {
	files, err := segmentFiles(dir)
	for i := len(files) - 1; i >= 0 && seq == 0 && err == nil; i-- {
		var s *Segment
		if s, err = OpenSegment(files[i].Path); err != nil {
			break
		}
		if info := s.Info(); info.Records > 0 {
			seq, time = info.LastSeq, info.LastTime
		}
		err = s.Close()
	}
	return seq, time, err
}
