package chat

import (
	"reflect"
	"strings"
	"testing"
)

func TestMetadata(t *testing.T) {
	var none Metadata
	a := none.With(MetaItem{"url", "http://a"}, MetaItem{"avatar", "b"}, MetaItem{"avatar", "c"})
	if got := a.Items(); !reflect.DeepEqual(got, []MetaItem{{"avatar", "c"}, {"url", "http://a"}}) {
		t.Errorf("items are %v", got)
	}
	if a != none.With(MetaItem{"avatar", "c"}).With(MetaItem{"url", "http://a"}) {
		t.Error("the order of changes shows")
	}
	if a.Get("url") != "http://a" || a.Get("ur") != "" || none.Get("url") != "" {
		t.Error("get")
	}
	b := a.With(MetaItem{Key: "url"}, MetaItem{"x", "y"}, MetaItem{Key: "never"})
	if got := a.Changes(b); !reflect.DeepEqual(got, []MetaItem{{"url", ""}, {"x", "y"}}) {
		t.Errorf("changes are %v", got)
	}
	if a.With(a.Changes(b)...) != b || b.With(b.Changes(a)...) != a || len(a.Changes(a)) != 0 {
		t.Error("changes do not lead there")
	}
	full := none
	for i := range MaxMetaKeys {
		full = full.With(MetaItem{strings.Repeat("k", i+1), "v"})
	}
	if !full.Fits() || full.With(MetaItem{"one-more", "v"}).Fits() {
		t.Error("the bound of keys")
	}
	if long := strings.Repeat("v", MaxMetaValue); none.With(MetaItem{"a", long}, MetaItem{"b", long}, MetaItem{"c", long}, MetaItem{"d", long}).Fits() {
		t.Error("the bound of bytes")
	}
	for _, key := range []string{"", "A", "a b", "ä", "a:b", strings.Repeat("k", MaxMetaKey+1)} {
		if ValidMetaKey(key) {
			t.Errorf("%q is a key", key)
		}
	}
	if !ValidMetaKey("im.xmpp/a-b_9") || ValidMetaValue("a\nb") || ValidMetaValue("\xff") || ValidMetaValue(strings.Repeat("v", MaxMetaValue+1)) || !ValidMetaValue("ä b") {
		t.Error("keys and values")
	}
}
