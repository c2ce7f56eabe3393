package market

import "testing"

func BenchmarkParseFixed(b *testing.B) {
	for _, text := range []string{"61800.20", "0.00012345", "364630.28272081"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			raw := []byte(text)
			for b.Loop() {
				if _, err := ParseFixed(raw, -8); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendFixed(b *testing.B) {
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendFixed(dst[:0], 36463028272081, -8)
	}
}
