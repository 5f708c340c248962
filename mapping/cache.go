package mapping

// cache is a map of bounded size: what was put first goes first, an eighth at
// a time.
type cache[K comparable, V any] struct {
	max   int
	m     map[K]V
	order []K
}

func newCache[K comparable, V any](max int) *cache[K, V] {
	return &cache[K, V]{max: max, m: map[K]V{}}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	v, ok := c.m[k]
	return v, ok
}

// drop forgets a value; its place in the order stays until its turn comes.
func (c *cache[K, V]) drop(k K) { delete(c.m, k) }

func (c *cache[K, V]) put(k K, v V) {
	if _, ok := c.m[k]; !ok {
		if len(c.order) >= c.max {
			old := c.order[:c.max/8]
			for _, k := range old {
				delete(c.m, k)
			}
			c.order = append([]K(nil), c.order[len(old):]...)
		}
		c.order = append(c.order, k)
	}
	c.m[k] = v
}
