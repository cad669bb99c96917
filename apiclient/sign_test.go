package apiclient

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The vectors of the vendor's documentation, and of its own function.
func TestSignVectors(t *testing.T) {
	date := time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC)
	const nonce = "3156853299f313e23d1673dc12e1703d"
	for _, v := range []struct {
		name, url, action, version string
		query                      url.Values
		token                      string
		more                       http.Header
		want                       string
	}{{
		name: "documentation", url: "https://ecs.cn-shanghai.aliyuncs.com/", action: "RunInstances", version: "2014-05-26",
		query: url.Values{"ImageId": {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}, "RegionId": {"cn-shanghai"}},
		want:  "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
	}, {
		name: "DescribeBackups", url: "https://starrocks.cn-hangzhou.aliyuncs.com" + describeBackups("").path, action: describeBackups("").name,
		version: version,
		query:   url.Values{"RegionId": {"cn-hangzhou"}},
		want:    "de16b06e226d86f02e267c61f6914ab8f9a432f988dff8c04a7ac425df07604c",
	}, {
		name: "all of it", url: "https://starrocks.cn-hangzhou.aliyuncs.com" + describeBackups("").path, action: describeBackups("").name,
		version: version,
		query: url.Values{
			"InstanceId": {"c-b25e21e24388****"}, "PageNumber": {"1"}, "PageSize": {"100"}, "RegionId": {"cn-hangzhou"},
			"Statuses": {"RUNNING,COMPLETED"}, "TimePeriodStartTime": {"1747708000"},
		},
		token: "STS.token+/=", more: http.Header{"X-Acs-Accesskey-Id": {"YourAccessKeyId"}},
		want: "8238d9f34babf4150607e5ee94dcb28468614cfa468936d58f14e2eb0614fc8f",
	}} {
		t.Run(v.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, v.url+"?"+v.query.Encode(), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(req.Header, v.more)
			req.Header.Set("x-acs-action", v.action)
			req.Header.Set("x-acs-version", v.version)
			sign(req, Credential{"YourAccessKeyId", "YourAccessKeySecret", v.token}, date, nonce)
			if _, got, _ := strings.Cut(req.Header.Get("Authorization"), "Signature="); got != v.want {
				t.Errorf("signature %s, want %s", got, v.want)
			}
		})
	}
}
