package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// longestRefresh is how old a list of instances may get before the alert StarRocksBackupDiscoveryFailed fires.
const longestRefresh = model.Duration(time.Hour)

// warn notes what is allowed but probably a mistake.
func (c *Config) warn(f *findings) {
	used, unsure := map[string]bool{}, f.isBroken("instances") || f.isBroken("discovery")
	use := func(path, account string) {
		used[cmp.Or(account, DefaultAccount)] = true
		unsure = unsure || f.isBroken(path+".account")
	}
	regionOf, first := map[string]string{}, map[string]int{}
	for i, in := range c.Instances {
		path := fmt.Sprintf("instances[%d]", i)
		use(path, in.Account)
		c.warnOfRegion(f, path, in.RegionID)
		if in.InstanceID == "" || in.RegionID == "" { // which is a mistake of its own
			continue
		}
		if region, seen := regionOf[in.InstanceID]; seen && region != in.RegionID {
			f.warn(path+".instance_id", "%q is also configured in region %q, line %d; an id belongs to one region",
				in.InstanceID, region, first[in.InstanceID])
		} else if !seen {
			regionOf[in.InstanceID], first[in.InstanceID] = in.RegionID, f.lines[path]
		}
	}
	for i, e := range c.Discovery {
		path := fmt.Sprintf("discovery[%d]", i)
		if e.RefreshInterval > longestRefresh {
			f.warn(path+".refresh_interval", "the alert StarRocksBackupDiscoveryFailed fires if a list is older than %s", longestRefresh)
		}
		use(path, e.Account)
		c.warnOfRegion(f, path, e.RegionID)
	}
	if unsure {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		if !used[name] && (name != DefaultAccount || c.Accounts[name] != Account{}) {
			f.warn("accounts."+name, "no instance and no discovery uses this account")
		}
	}
}

// warnOfRegion warns of a region that is not documented. An endpoint that is the same for all regions may serve any.
func (c *Config) warnOfRegion(f *findings, path, region string) {
	if !regionID.MatchString(region) || slices.Contains(regions(), region) || !strings.Contains(c.API.Endpoint, regionPlaceholder) {
		return
	}
	hint := ""
	if meant := nearest(region, regions()); meant != "" {
		hint = "; did you mean " + meant + "?"
	}
	f.warn(path+".region_id", "%q is not a documented region of EMR Serverless StarRocks%s", region, hint)
}
