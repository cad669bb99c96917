package fleet

// requestTimes adds up the requests that the last reads took.
func requestTimes(r *Result) []RequestTime {
	if r.RequestsPerSecond <= 0 {
		return nil
	}
	index := map[laneKey]int{}
	var all []RequestTime
	of := func(account, regionID string) *RequestTime {
		k := laneKey{account, regionID}
		i, known := index[k]
		if !known {
			i = len(all)
			index[k] = i
			all = append(all, RequestTime{Account: account, RegionID: regionID})
		}
		return &all[i]
	}
	for _, d := range r.Discoveries {
		if d.ListRequests > 0 {
			t := of(d.Account, d.RegionID)
			t.Requests += d.ListRequests
			t.Time = max(t.Time, d.ListTime)
		}
	}
	for i := range r.Instances {
		if one := &r.Instances[i]; !one.Totals.Listed && !one.ReadBefore {
			of(one.Instance.Account, one.Instance.RegionID).Requests += max(1, one.Totals.Requests)
		}
	}
	for i := range all {
		all[i].Time = max(all[i].Time, r.TimeOf(all[i].Requests))
	}
	return all
}
